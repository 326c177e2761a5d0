import { type CallerOptions, createCaller } from './call.ts';

/** One call of an exit or of a program unit of the user's. */
export interface ModuleCall {
  /** Whose it is: attachment and descriptor. */
  readonly of: string;
  readonly what: 'exit' | 'unit';
  /** Names the request. */
  readonly id: string;
  invoke(): unknown;
}

/** Calls what users' modules export as callbacks are called: watched, timed, held to a deadline. Rejects with CallbackFailure alone. */
export function createModuleCaller(options: CallerOptions): (call: ModuleCall) => Promise<void> {
  const call = createCaller(options);
  return async ({ of, what, id, invoke }) => {
    await call({ handler: of, callback: what, packetKey: id, invoke, check: () => undefined });
  };
}
