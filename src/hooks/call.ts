import type { AcceptCallbacks, GateCallbacks } from '../../pools/callbacks.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { EventSink } from '../telemetry/events.ts';
import { type Eventually, isThenable } from './eventually.ts';
import { type CallbackWatch, type Watched, watched } from './watch.ts';

export type CallbackName = keyof AcceptCallbacks | keyof GateCallbacks | 'exit' | 'unit';

/** One call of one callback of a user's module. */
export interface Call<T> extends Watched {
  readonly callback: CallbackName;
  invoke(): unknown;
  /** Gives what the callback returned, or throws when that is nonsense. */
  check(given: unknown): T;
}

export type Caller = <T>(call: Call<T>) => Eventually<T>;

export interface CallerOptions {
  /** How long a callback's promise may take, ms. */
  readonly timeoutMs: number;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/** A dead letter keeps this much of an error's text, in UTF-16 units: a module may throw whatever it was given. */
const maxMessage = 500;

/** A callback threw, rejected, returned nonsense or missed its deadline; `cause` is what it threw. */
export class CallbackFailure extends Error {
  readonly callback: CallbackName;

  constructor(callback: CallbackName, cause: unknown) {
    super(`${callback}: ${toError(cause).message.slice(0, maxMessage)}`, { cause });
    this.name = 'CallbackFailure';
    this.callback = callback;
  }
}

/**
 * Calls callbacks: announced to the watch while they hold the thread, timed, held to a deadline where they return a
 * promise. Gives a promise only where the callback did; throws and rejects with {@link CallbackFailure} alone.
 */
export function createCaller({ timeoutMs, watch, clock, timers, events }: CallerOptions): Caller {
  return (call) => {
    const blame = (thrown: unknown): never => {
      throw new CallbackFailure(call.callback, thrown);
    };

    try {
      const given = timed(call);
      return given instanceof Promise ? given.then(call.check).catch(blame) : call.check(given);
    } catch (thrown) {
      return blame(thrown);
    }
  };

  function timed(call: Call<unknown>): Eventually<unknown> {
    const begunAt = clock.monotonic();
    const ended = () =>
      events.emit('callback.ended', { handler: call.handler, callback: call.callback, durationMs: clock.monotonic() - begunAt });

    let waits = false;
    try {
      const given = watched(watch, call, call.invoke);
      if (!isThenable(given)) return given;
      waits = true;
      return inTime(given).finally(ended);
    } finally {
      if (!waits) ended();
    }
  }

  /** What comes after the deadline, value or error, is let go. */
  function inTime(given: PromiseLike<unknown>): Promise<unknown> {
    const { promise, resolve, reject } = createDeferred<unknown>();
    const callOff = timers.after(timeoutMs, () => reject(new Error(`gave no answer within ${timeoutMs} ms`)));
    return Promise.race([given, promise]).finally(() => {
      callOff();
      resolve(undefined);
    });
  }
}
