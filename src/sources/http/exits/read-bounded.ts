import type { IncomingMessage } from 'node:http';

export type ReadBounded =
  | { readonly kind: 'body'; readonly body: Buffer }
  /** The client went away, or was too slow: there is nobody to tell. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'too-large' };

/** Reads a body to its end, and keeps it if it has `maxBytes` at most. */
export async function readBounded(request: IncomingMessage, maxBytes: number): Promise<ReadBounded> {
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
