/** Reads an HTTP request as it was captured: headers as text, the body byte for byte. */
import { ServiceError } from '../kit/errors.ts';
import type { HeaderPair } from '../model/delivery.ts';
import { tokenPattern } from '../model/headers.ts';

/** Names of headers are in lower case. */
export interface CapturedRequest {
  readonly headers: readonly HeaderPair[];
  readonly body: Buffer;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * A request line (optional) and headers, then an empty line and the body. Without an empty line the body is undefined. Lines may end
 * with or without a carriage return. Throws USAGE.
 */
export function readCapture(bytes: Buffer): { readonly headers: readonly HeaderPair[]; readonly body: Buffer | undefined } {
  const headers: HeaderPair[] = [];
  let start = 0;
  for (let number = 1; start < bytes.length; number += 1) {
    const found = bytes.indexOf(LF, start);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(start, end > start && bytes[end - 1] === CR ? end - 1 : end).toString('latin1');
    start = end + 1;
    if (line === '' && number > 1) return { headers, body: bytes.subarray(start) };
    if (number > 1 || !requestLine.test(line)) headers.push(readHeader(line, `line ${number} of the request`));
    if (headers.length > maxHeaders) throw new ServiceError('USAGE', `the request has more than ${maxHeaders} headers`);
  }
  return { headers, body: undefined };
}

const requestLine = /^\S+ \S+ HTTP\/\d(\.\d)?$/;
const maxHeaders = 1000;

/** `name: value`; spaces around the value do not belong to it (RFC 9112 §5.1). Throws USAGE. */
export function readHeader(line: string, place: string): HeaderPair {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (colon > 0 && tokenPattern.test(name)) return [name.toLowerCase(), line.slice(colon + 1).trim()];
  const shown = JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
  throw new ServiceError('USAGE', `${place}: received ${shown}, expected a header such as "webhook-id: 0198a0a0-…"`);
}
