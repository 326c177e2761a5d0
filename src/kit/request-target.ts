import type { IncomingMessage } from 'node:http';

/** Host and port of a URI (RFC 3986 §3.2.2); the name may be empty. */
const hostPattern = /^(?:\[[\da-f:.]+\]|\[v[\da-f]+\.[\w.~!$&'()*+,;=:-]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

/**
 * Checks the Host of a request, and turns a target in absolute form into path and Host: an origin server must take both
 * forms, and in the absolute one the Host that counts is that of the target (RFC 9112 §3.2.2). Gives what is wrong.
 */
export function readTarget(request: IncomingMessage): string | undefined {
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) return 'a request has one Host header';
  if (!hostPattern.test(request.headers.host ?? '')) return 'the Host header is no host';

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
