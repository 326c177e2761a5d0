import type { TextAnswer } from '../../kit/http-message.ts';
import { basicRequired, tooLarge } from '../../kit/request-guard.ts';

/** Why a request became no packet; bounded, since it is a label. */
export type SkipReason = 'forged' | 'malformed' | 'overloaded' | 'own' | 'rate-limited' | 'unauthorized' | 'unknown-host';

/** How a request is answered that was not taken. The text is for people: MongooseIM itself reads no answer. */
export interface Refusal extends TextAnswer {
  readonly reason: SkipReason;
}

export const overloaded: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  reason: 'overloaded',
  text: 'not taken: nothing more is taken in just now',
};

export const unauthorized: Refusal = { ...basicRequired, reason: 'unauthorized' };

export function bodyTooLarge(maxBytes: number): Refusal {
  return { ...tooLarge(maxBytes), reason: 'malformed' };
}

/** Who is told these has no business here: the connection ends, so that such cannot take the places of others. */
export const strangers: ReadonlySet<SkipReason> = new Set(['forged', 'own', 'unauthorized']);
