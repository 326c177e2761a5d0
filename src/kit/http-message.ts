/** Reading requests and sending plain-text responses over HTTP/1.1. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';

/** A response in plain text. */
export interface TextAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a response. The connection is closed after it if it is the `last` on it, or if the client still waits to send a body. */
export function sendText(response: ServerResponse, { status, text, headers = {} }: TextAnswer, { last }: { readonly last: boolean }): void {
  response.writeHead(status, {
    ...headers,
    ...(status === 204 ? {} : { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text) }),
    ...(last || waitsToSend(response.req) ? { connection: 'close' } : {}),
  });
  response.end(text);
}

/** Result of reading a body. */
type ReadBody =
  | { readonly kind: 'body'; readonly body: Buffer }
  /** The client disconnected or was too slow; no response is possible. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'too-large' };

/** Reads a body to its end and keeps at most `maxBytes`. Sends `100 Continue` to a client that waits for it. */
export async function readBody(request: IncomingMessage, response: ServerResponse, maxBytes: number): Promise<ReadBody> {
  if (waitsToSend(request)) response.writeContinue();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    }
  } catch {
    return { kind: 'gone' }; // reset or timed out; Node has closed the connection
  }
  return size > maxBytes ? { kind: 'too-large' } : { kind: 'body', body: Buffer.concat(chunks) };
}

/** Reads a body to its end and discards it. A connection that is closed with unread data is reset, and the response may be lost. */
export async function skipBody(request: IncomingMessage): Promise<void> {
  if (waitsToSend(request)) return; // with an immediate response the client sends no body
  await finished(request.resume()).catch(() => undefined); // reset or too slow
}

/** Whether the client waits for `100 Continue` (RFC 9110 §10.1.1) and has not sent its whole body. */
export function waitsToSend({ headers, httpVersion, complete }: IncomingMessage): boolean {
  return !complete && httpVersion === '1.1' && /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect ?? '');
}

/**
 * Checks the Host of a request and converts a target in absolute form into path and Host. An origin server must accept both
 * forms, and the host of an absolute target overrides the header (RFC 9112 §3.2.2). Returns the mistake, if any.
 */
export function normaliseTarget(request: IncomingMessage): string | undefined {
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) return 'more than one Host header';
  if (!hostPattern.test(request.headers.host ?? '')) return 'the Host header is invalid';

  const [, host, rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(request.url ?? '') ?? [];
  if (host === undefined) return undefined;
  if (!hostPattern.test(host) || host.startsWith(':') || host === '') return 'the target has no host';
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  replaceHost(request, host);
  return undefined;
}

/** Host and port of a URI (RFC 3986 §3.2.2); the name may be empty. */
const hostPattern = /^(?:\[[\da-f:.]+\]|\[v[\da-f]+\.[\w.~!$&'()*+,;=:-]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

function replaceHost({ headers, rawHeaders }: IncomingMessage, host: string): void {
  headers.host = host;
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (at >= 0) rawHeaders[at + 1] = host;
}
