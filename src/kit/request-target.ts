import type { IncomingMessage } from 'node:http';

/** Host and port of a URI (RFC 3986 §3.2.2); the name may be empty. */
const hostPattern = /^(?:\[[\da-f:.]+\]|\[v[\da-f]+\.[\w.~!$&'()*+,;=:-]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

/**
 * Checks the Host of a request and converts a target in absolute form into path and Host. An origin server must accept both
 * forms, and the host of an absolute target overrides the header (RFC 9112 §3.2.2). Returns the mistake, if any.
 */
export function readTarget(request: IncomingMessage): string | undefined {
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) return 'more than one Host header';
  if (!hostPattern.test(request.headers.host ?? '')) return 'the Host header is invalid';

  const [, host, rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(request.url ?? '') ?? [];
  if (host === undefined) return undefined;
  if (!hostPattern.test(host) || host.startsWith(':') || host === '') return 'the target has no host';
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  putHost(request, host);
  return undefined;
}

function putHost({ headers, rawHeaders }: IncomingMessage, host: string): void {
  headers.host = host;
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (at >= 0) rawHeaders[at + 1] = host;
}
