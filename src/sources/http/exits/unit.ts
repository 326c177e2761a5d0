import type { ProgramUnitCall } from '../../../../pools/exits.ts';
import type { Refusal } from '../answer.ts';

/** Reads a message's parts and puts those of its answer; of HTTP it knows nothing. */
export type Unit = (call: UnitCall) => Promise<UnitEnd>;

/** What a unit of our own is called with. */
export interface UnitCall extends ProgramUnitCall {
  /** The rest of the message as one. */
  mgetRest(): Promise<Buffer>;
}

/** `done`: `commit` makes it happen, once the response is known to be there; undefined where there is nothing to do. */
export type UnitEnd = { readonly kind: 'done'; readonly commit: Commit | undefined } | Refused;

/** The message is not what this unit takes. */
export interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
}

/** Makes happen what a unit has prepared; gives what went wrong. */
export type Commit = () => Promise<Refusal | undefined>;

export const done: UnitEnd = { kind: 'done', commit: undefined };

export function refuse(text: string, { status = 400, reason = 'malformed' }: Partial<Refusal> = {}): Refused {
  return { kind: 'refused', refusal: { status, text, reason } };
}
