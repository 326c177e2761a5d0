/** An exit translates between HTTP and a program unit: its types, and the `*NONE` exit. */
import { isUtf8 } from 'node:buffer';
import type { HttpExitPar, ProgramUnitCall } from '../../../../pools/exits.ts';
import type { Refusal } from '../request-guard.ts';
import { maxPartBytes, maxParts, splitMessage } from './parts.ts';
import { bytesType, type Reply, textType } from './reply.ts';
import type { Received } from './request.ts';

export interface Exit {
  /** Makes the unit's message, with all its parts, from the request. */
  input(service: Service): Promise<ExitInput>;
  /** Makes the response from the parts that the unit has put. */
  output(service: Service, parts: readonly Buffer[]): Promise<ExitOutput>;
}

/** One request on its way through an exit, a unit, and the exit again. */
export interface Service {
  readonly received: Received;
  /** The communication area. */
  readonly ca: Record<string, unknown>;
  /** The default status of the response. */
  readonly status: number;
}

export type ExitInput = { readonly kind: 'parts'; readonly parts: readonly Buffer[] } | Ended | Unfit;

export type ExitOutput = { readonly kind: 'reply'; readonly reply: Reply } | Ended;

/** A return code other than 0 ends the service. `error`: the error that the exit threw, if any. */
export interface Ended {
  readonly kind: 'ended';
  readonly retcode: number;
  readonly error: Error | undefined;
}

/** A built-in exit cannot read the request: the client's fault. */
export interface Unfit {
  readonly kind: 'unfit';
  readonly refusal: Refusal;
}

export function unfit(status: number, text: string): Unfit {
  return { kind: 'unfit', refusal: { status, text, reason: 'malformed' } };
}

/** Calls a function of a user's module with a time limit, watched and timed. Rejects with its error, or at the time limit. */
export type ModuleCaller = (call: {
  /** Attachment and descriptor. */
  readonly of: string;
  readonly what: 'exit' | 'unit';
  /** Identifies the request. */
  readonly id: string;
  invoke(): unknown;
}) => Promise<void>;

/** The same for one descriptor. */
export type CallModule = (what: 'exit' | 'unit', id: string, invoke: () => unknown) => Promise<void>;

/** The default export of a module; the configuration decides whether it is an exit or a unit. */
export type UserFunction = (given: HttpExitPar | ProgramUnitCall) => unknown;

/** By the URL that the configuration found. */
export type UserModules = ReadonlyMap<string, UserFunction>;

/** `*NONE`: body and output are passed on unchanged. Bytes beyond the length of a part go into the next part. */
export const noneExit: Exit = {
  input: async ({ received }) => wholeBody(received.body),
  output: async ({ status }, parts) => {
    const body = Buffer.concat(parts);
    return { kind: 'reply', reply: { status, headers: [isUtf8(body) ? textType : bytesType], body } };
  },
};

export function wholeBody(body: Buffer): ExitInput {
  const parts = splitMessage(body);
  return parts === undefined ? unfit(413, `a message may have ${maxParts} parts of ${maxPartBytes} bytes`) : { kind: 'parts', parts };
}
