import type { IncomingMessage } from 'node:http';

export type ReadBody =
  | { readonly kind: 'body'; readonly body: Buffer }
  /** The client went away, or was too slow: there is nobody to tell. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'too-large' };

/** Reads a body whole, up to `maxBytes`. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<ReadBody> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += chunk.length;
      if (size > maxBytes) return { kind: 'too-large' };
      chunks.push(chunk);
    }
  } catch {
    return { kind: 'gone' }; // reset, or not within the time: Node has ended the connection
  }
  return { kind: 'body', body: Buffer.concat(chunks) };
}
