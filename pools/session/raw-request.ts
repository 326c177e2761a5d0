import type { Body, HeaderPair } from '../../src/model/delivery.ts';

/** What a complete HTTP message says. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
}

/**
 * Reads one complete HTTP/1.1 request for `origin`, as strictly as RFC 9112 allows: a message that another parser could
 * read otherwise is refused. Text is UTF-8. Throws TypeError, without quoting the message.
 */
export function parseRawRequest(data: Body, origin: string): RawRequest {
  const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) throw invalid('its head does not end');

  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const { method, target } = readRequestLine(requestLine);
  const headers = lines.map(readHeader);
  const body = bytes.subarray(headEnd + 4);

  const path = pathOf(target, origin);
  checkHost(headers, origin);
  checkLength(headers, body.length);
  return { method, path, headers, body };
}

/** RFC 9112 §3. */
function readRequestLine(line: string): { readonly method: string; readonly target: string } {
  const [, method, target] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(line) ?? [];
  if (method === undefined || target === undefined) throw invalid('its first line is no request line of HTTP/1.1');
  if (method === 'CONNECT') throw invalid('it asks for a tunnel');
  return { method, target };
}

/** RFC 9112 §5. A folded line (§5.2) begins with white space, which no name does. */
function readHeader(line: string, index: number): HeaderPair {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw invalid(`its header line ${index + 1} is not well-formed`);
  return [name, value];
}

/** RFC 9112 §3.2.1 and §3.2.2: a path, or the whole URL of this origin. */
function pathOf(target: string, origin: string): string {
  if (target.includes('#')) throw invalid('its target has a fragment');
  if (target.startsWith('/')) return target;
  const [, authority, path = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(target) ?? [];
  const scheme = target.slice(0, target.indexOf(':') + 1).toLowerCase();
  if (authority === undefined || scheme !== new URL(origin).protocol || !isHostOf(authority, origin)) {
    throw invalid('its target is neither a path nor a URL of this pool');
  }
  return path.startsWith('/') ? path : `/${path}`;
}

/** RFC 9112 §3.2. */
function checkHost(headers: readonly HeaderPair[], origin: string): void {
  const [host, ...others] = valuesOf(headers, 'host');
  if (host === undefined || others.length > 0) throw invalid('it has not exactly one host header');
  if (!isHostOf(host, origin)) throw invalid('its host is not the one of this pool');
}

/** RFC 9112 §6. What follows the body would be a second message. */
function checkLength(headers: readonly HeaderPair[], bodyBytes: number): void {
  if (valuesOf(headers, 'transfer-encoding').length > 0) throw invalid('it has a transfer-encoding');
  const [length, ...others] = valuesOf(headers, 'content-length');
  if (others.length > 0) throw invalid('it has more than one content-length');
  if (length === undefined && bodyBytes > 0) throw invalid('it has a body and no content-length');
  if (length !== undefined && (!/^\d{1,15}$/.test(length) || Number(length) !== bodyBytes)) {
    throw invalid(`its content-length is not that of its body, which is ${bodyBytes}`);
  }
}

function valuesOf(headers: readonly HeaderPair[], wanted: string): string[] {
  return headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

/** The port may be left out where it is the scheme's own. */
function isHostOf(authority: string, origin: string): boolean {
  if (!/^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(authority)) return false;
  const url = `${new URL(origin).protocol}//${authority}`;
  return URL.canParse(url) && new URL(url).origin === new URL(origin).origin;
}

function invalid(reason: string): TypeError {
  return new TypeError(`session.request.data is not one complete request: ${reason}`);
}
