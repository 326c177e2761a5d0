import { messageOf } from '../src/kit/errors.ts';
import { CONNECTION_GONE } from './connection.ts';

/** The code of an outcome whose destination is refused. */
export const DESTINATION_REFUSED = 'DESTINATION_REFUSED';

/** What went wrong on the wire, in Node's own codes whatever the client calls it, so that both clients tell the same. */
export function failureOf(error: Error): { readonly code: string; readonly message: string } {
  const code = codeOf(error);
  return { code: renamed.get(code) ?? code, message: messageOf(error) };
}

export function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.name === 'HTTPParserError' ? 'HPE_INVALID' : 'ERR_UNKNOWN'; // undici knows the parser's codes only in part
}

/** The failure for a 101 (Switching Protocols): the service never requests an upgrade. */
export function protocolChanged(): Error {
  return Object.assign(new Error('the backend switched protocols without a request to do so'), { code: 'ECONNRESET' });
}

const renamed = new Map([
  [CONNECTION_GONE, 'ECONNRESET'],
  ['ERR_HTTP_CONTENT_LENGTH_MISMATCH', 'ECONNRESET'],
  ['UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ECONNRESET'],
  ['UND_ERR_SOCKET', 'ECONNRESET'],
]);
