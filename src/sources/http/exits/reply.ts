import type { ServerResponse } from 'node:http';
import { waitsToSend } from '../../../kit/http-message.ts';
import type { Refusal } from '../answer.ts';

/** A response as it goes out. */
export interface Reply {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** A refusal, or another word of our own, as a reply for people. */
export function plainReply({ status, text, headers = {} }: Omit<Refusal, 'reason'>): Reply {
  return { status, headers: [...Object.entries(headers), textType], body: Buffer.from(text === '' ? '' : `${text}\n`) };
}

export const textType = ['content-type', 'text/plain; charset=utf-8'] as const;

/** Our own; a header of an exit that says otherwise is left out. */
const reserved: ReadonlySet<string> = new Set(['connection', 'content-length', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade']);

/** Sends a reply. `last` closes the connection after it, as does a client that waits to send a body. */
export function sendReply(response: ServerResponse, { status, headers, body }: Reply, { last }: { readonly last: boolean }): void {
  const sent = new Map<string, string[]>();
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (reserved.has(lower)) continue;
    const values = sent.get(lower);
    if (values === undefined) sent.set(lower, [value]);
    else values.push(value);
  }
  for (const [name, values] of sent) response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values);
  response.setHeader('x-content-type-options', 'nosniff');
  if (last || waitsToSend(response.req)) response.setHeader('connection', 'close');
  const bodiless = status === 204 || status === 304;
  if (!bodiless) response.setHeader('content-length', body.length);
  response.writeHead(status);
  response.end(bodiless ? undefined : body);
}
