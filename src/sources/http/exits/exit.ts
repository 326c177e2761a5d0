import type { Refusal } from '../answer.ts';
import type { Received } from './received.ts';
import type { Reply } from './reply.ts';

/** What stands between a request and a program unit: it knows HTTP, so that the unit need not. */
export interface Exit {
  /** Makes the unit's message of the request: all parts of it. */
  input(service: Service): Promise<ExitInput>;
  /** Makes the response of what the unit has put. */
  output(service: Service, parts: readonly Buffer[]): Promise<ExitOutput>;
}

/** One request on its way through an exit, a unit, and the exit again. */
export interface Service {
  readonly received: Received;
  /** The communication area. */
  readonly ca: Record<string, unknown>;
  /** The status of a response that says nothing else. */
  readonly status: number;
}

export type ExitInput = { readonly kind: 'parts'; readonly parts: readonly Buffer[] } | Ended | Unfit;

export type ExitOutput = { readonly kind: 'reply'; readonly reply: Reply } | Ended;

/** A return code other than 0 ends the service. `error`: why, where the exit has thrown it. */
export interface Ended {
  readonly kind: 'ended';
  readonly retcode: number;
  readonly error: Error | undefined;
}

/** A built-in exit cannot read what came: the client's fault. */
export interface Unfit {
  readonly kind: 'unfit';
  readonly refusal: Refusal;
}

export function unfit(status: number, text: string): Unfit {
  return { kind: 'unfit', refusal: { status, text, reason: 'malformed' } };
}
