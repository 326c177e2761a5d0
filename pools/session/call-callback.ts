import type { Timers } from '../../src/kit/clock.ts';
import { asError, toError } from '../../src/kit/errors.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import type { DeliveryCallbacks } from '../callbacks.ts';
import type { CallbackFailure } from '../contract.ts';
import type { HandlerModule } from './load-modules.ts';

/** One call of one callback at delivery. */
export interface CallbackCall {
  readonly module: HandlerModule;
  readonly callback: keyof DeliveryCallbacks;
  /** The delivery it is called for; undefined for a callback of the connection alone. */
  readonly id: DeliveryId | undefined;
  /** Undefined also where the module has no such callback. */
  invoke(callbacks: DeliveryCallbacks): unknown;
}

export type Called = { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'returned'; readonly value: unknown };

export interface CallbackCaller {
  /** Never throws and never rejects: what goes wrong is reported, and what comes after the deadline is let go. */
  call(call: CallbackCall): Promise<Called>;
  /** Reports what a callback did, though it returned. */
  complain(about: Pick<CallbackCall, 'callback' | 'id' | 'module'>, problem: unknown): void;
}

export interface CallbackCallerOptions {
  /** How long a callback's promise may take, ms. */
  readonly timeoutMs: number;
  readonly timers: Timers;
  readonly report: (failure: CallbackFailure) => void;
}

export function createCallbackCaller({ timeoutMs, timers, report }: CallbackCallerOptions): CallbackCaller {
  function complain({ module, callback, id }: Pick<CallbackCall, 'callback' | 'id' | 'module'>, problem: unknown): void {
    report({ handler: module.name, callback, id, message: tell(problem), at: placesIn(problem) });
  }

  async function call(called: CallbackCall): Promise<Called> {
    try {
      return { kind: 'returned', value: await inTime(called.invoke(called.module.callbacks)) };
    } catch (thrown) {
      complain(called, thrown);
      return { kind: 'failed', message: tell(thrown) };
    }
  }

  async function inTime(given: unknown): Promise<unknown> {
    if (typeof given !== 'object' || given === null) return given;
    const late = createDeferred<never>();
    const callOff = timers.after(timeoutMs, () => late.reject(new Error(`gave no answer within ${timeoutMs} ms`)));
    try {
      return await Promise.race([given, late.promise]);
    } finally {
      callOff();
    }
  }

  return { call, complain };
}

/** How much is told of what was thrown, in characters. */
const TOLD = 500;

function tell(thrown: unknown): string {
  const error = asError(thrown);
  const text = error === undefined ? toError(thrown).message : `${error.name}: ${error.message}`;
  return text.slice(0, TOLD);
}

/** The first places of the stack; its first lines are the message, which may itself have several. */
function placesIn(thrown: unknown): readonly string[] {
  const { stack = '' } = asError(thrown) ?? {};
  const places = stack.split('\n').filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line));
  return places.slice(0, 3).map((line) => line.trim());
}
