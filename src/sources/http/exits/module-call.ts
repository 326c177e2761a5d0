import type { HttpExitPar, ProgramUnitCall } from '../../../../pools/exits.ts';

/**
 * Runs a function of a user's module: announced to the watchdog while it holds the thread, timed, held to a deadline.
 * Rejects with what it throws, or for being late.
 */
export type ModuleCaller = (call: {
  /** Attachment and descriptor. */
  readonly of: string;
  readonly what: 'exit' | 'unit';
  /** Names the request. */
  readonly id: string;
  invoke(): unknown;
}) => Promise<void>;

/** The same, for one descriptor. */
export type CallModule = (what: 'exit' | 'unit', id: string, invoke: () => unknown) => Promise<void>;

/** What a module exports by default: whether it is an exit or a unit is for the configuration to say. */
export type UserFunction = (given: HttpExitPar | ProgramUnitCall) => unknown;

/** By the URL that the configuration found. */
export type UserModules = ReadonlyMap<string, UserFunction>;
