import { isIP } from 'node:net';

/**
 * Whether a request may have been meant for this listener, by its Host header (RFC 9110 §7.2): loopback names, IP
 * addresses, and the name that it listens on. Any other name may be a stranger's that was pointed at this machine so
 * that a page in a browser here can read what only this machine may (DNS rebinding).
 */
export function isKnownHost(header: string | undefined, listenHost: string): boolean {
  const host = hostName(header ?? '');
  return (
    host !== undefined && (host === 'localhost' || host.endsWith('.localhost') || isIP(host) !== 0 || host === listenHost.toLowerCase())
  );
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The name or address without port and brackets, in lower case; undefined when the header is no host at all. */
function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\]]+?)\.?)(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}
