import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';

/** An answer in plain text. */
export interface TextAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends an answer. `last`: the connection ends behind it. */
export function sendText(response: ServerResponse, { status, text, headers = {} }: TextAnswer, { last }: { readonly last: boolean }): void {
  response.writeHead(status, {
    ...headers,
    ...(status === 204 ? {} : { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text) }),
    ...(last ? { connection: 'close' } : {}),
  });
  response.end(text);
}

/** The body, as long as its `content-length` says, which the parser sees to. Undefined: the client went away before its end. */
export async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return undefined; // reset, or too slow: there is nobody to tell
  }
  return Buffer.concat(chunks);
}

/** Reads what nobody wants to its end: closed before that, a connection is reset, and the answer may be lost. */
export async function skipBody(request: IncomingMessage): Promise<void> {
  await finished(request.resume()).catch(() => undefined); // reset, or too slow
}
