import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream/promises';

export type ReadBody =
  | { readonly kind: 'body'; readonly body: Buffer }
  /** The client went away, or was too slow: there is nobody to tell. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'too-large' };

/** Reads a body to its end, and keeps it if it has `maxBytes` at most. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<ReadBody> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    }
  } catch {
    return { kind: 'gone' }; // reset, or not within the time: Node has ended the connection
  }
  return size > maxBytes ? { kind: 'too-large' } : { kind: 'body', body: Buffer.concat(chunks) };
}

/** Reads what nobody wants to its end: closed before that, a connection is reset, and the answer may be lost. */
export async function skipBody(request: IncomingMessage): Promise<void> {
  await finished(request.resume()).catch(() => undefined); // reset, or too slow
}
