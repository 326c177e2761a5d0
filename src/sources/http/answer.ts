import type { ServerResponse } from 'node:http';

/** Why a request became no packet; bounded, since it is a label. */
export type SkipReason = 'forged' | 'malformed' | 'overloaded' | 'own' | 'rate-limited' | 'unauthorized' | 'unknown-host';

/** How a request is answered that was not taken. The text is for people: MongooseIM itself reads no answer. */
export interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly reason: SkipReason;
}

export const overloaded: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  reason: 'overloaded',
  text: 'not taken: nothing more is taken in just now',
};

/** Who is told these has no business here: the connection ends, so that such cannot take the places of others. */
export const strangers: ReadonlySet<SkipReason> = new Set(['forged', 'own', 'unauthorized']);

/** Sends an answer. `last`: the connection ends behind it. */
export function sendAnswer(
  response: ServerResponse,
  { status, text, headers = {} }: Omit<Refusal, 'reason'>,
  { last }: { readonly last: boolean },
): void {
  response.writeHead(status, {
    ...headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...(last ? { connection: 'close' } : {}),
  });
  response.end(text);
}
