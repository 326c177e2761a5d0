/**
 * Calls of callbacks. A call is reported to the watchdog while it holds the thread, timed, held to a deadline if it
 * returns a promise, and its result is checked.
 */
import type { AcceptCallbacks, GateCallbacks } from '../../pools/accept-callbacks.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { Body, HeaderPair } from '../model/delivery.ts';
import { tokenPattern } from '../model/headers.ts';
import type { EventSink } from '../telemetry/events.ts';

type CallbackName = keyof AcceptCallbacks | keyof GateCallbacks | 'exit' | 'unit';

/** One call of one callback of a user's module. */
export interface Call<T> extends Watched {
  readonly callback: CallbackName;
  /** Limit for the promise of this callback, ms. Default: the limit of the caller. */
  readonly timeoutMs?: number;
  invoke(): unknown;
  /** Returns the checked result, or throws if the callback may not return it. */
  check(result: unknown): T;
}

export interface CallerOptions {
  /** Limit for the promise of a callback, ms. */
  readonly timeoutMs: number;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/** A callback threw, rejected, returned an invalid result or missed its deadline; `cause` is the value that it threw. */
export class CallbackFailure extends Error {
  readonly callback: CallbackName;

  constructor(callback: CallbackName, cause: unknown) {
    super(`${callback}: ${toError(cause).message.slice(0, maxMessage)}`, { cause });
    this.name = 'CallbackFailure';
    this.callback = callback;
  }
}

/** Maximum error text in a dead letter, in UTF-16 units: a module may throw all of its input. */
const maxMessage = 500;

export class CallbackCaller {
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  /** Returns a promise only if the callback does. Throws and rejects with {@link CallbackFailure} only. */
  call<T>(call: Call<T>): Eventually<T> {
    const blame = (thrown: unknown): never => {
      throw new CallbackFailure(call.callback, thrown);
    };
    try {
      const result = this.#timed(call);
      return result instanceof Promise ? result.then(call.check).catch(blame) : call.check(result);
    } catch (thrown) {
      return blame(thrown);
    }
  }

  #timed(call: Call<unknown>): Eventually<unknown> {
    const { watch, clock, events } = this.#options;
    const startedAt = clock.monotonic();
    const ended = () =>
      events.emit('callback.ended', { handler: call.handler, callback: call.callback, durationMs: clock.monotonic() - startedAt });

    let isPending = false;
    try {
      const result = watched(watch, call, call.invoke);
      if (!isThenable(result)) return result;
      isPending = true;
      return this.#withDeadline(result, call.timeoutMs ?? this.#options.timeoutMs).finally(ended);
    } finally {
      if (!isPending) ended();
    }
  }

  /** A value or an error after the deadline is ignored. */
  #withDeadline(result: PromiseLike<unknown>, timeoutMs: number): Promise<unknown> {
    const { promise, resolve, reject } = createDeferred<unknown>();
    const cancel = this.#options.timers.after(timeoutMs, () => reject(new Error(`no result within ${timeoutMs} ms`)));
    return Promise.race([result, promise]).finally(() => {
      cancel();
      resolve(undefined);
    });
  }
}

/** A value now or later. The callbacks decide; no promise is made for a synchronous callback. */
export type Eventually<T> = T | Promise<T>;

/** Continues with `next` at once, or when the promise resolves. */
export function andThen<T, U>(value: Eventually<T>, next: (value: T) => Eventually<U>): Eventually<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Throws an error of the value's own `then` getter. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/**
 * Reports the thread's work to the watchdog in another thread. A blocked thread cannot run its own timers, so each callback
 * call and each evaluation of a handler's rules is reported before it starts.
 */
export interface CallbackWatch {
  /** A callback or the rules of `handler` are about to run for the packet named `packetKey` (`Packet.key`). */
  entering(handler: string, packetKey: string): void;
  /** The call returned. */
  left(): void;
  /** Whether this handler blocked the thread on this packet too often: it is skipped and the packet becomes its dead letter. */
  struckOut(handler: string, packetKey: string): boolean;
}

interface Watched {
  readonly handler: string;
  readonly packetKey: string;
}

/** Reports `work` to the watchdog while it runs. */
export function watched<T>(watch: CallbackWatch, { handler, packetKey }: Watched, work: () => T): T {
  watch.entering(handler, packetKey);
  try {
    return work();
  } finally {
    watch.left();
  }
}

/** For programs that embed the service and run no watchdog. */
export const unwatched: CallbackWatch = { entering: () => undefined, left: () => undefined, struckOut: () => false };

/*
 * Results of callbacks. Each check returns the value in the type that the pipeline uses, or throws a TypeError for the author of the
 * module. No message quotes a value: it may be the text of a user.
 */

/** Result of `shouldMakeReq`: a boolean, not a truthy value. */
export function checkedBoolean(result: unknown): boolean {
  if (typeof result === 'boolean') return result;
  throw new TypeError(`expected true or false, got ${describeValue(result)}`);
}

/** Result of `prepareHeaders`, copied: the module may change its own object later. */
export function checkedHeaders(result: unknown): readonly HeaderPair[] {
  if (typeof result !== 'object' || result === null)
    throw new TypeError(`expected [name, value] pairs or an object, got ${describeValue(result)}`);
  return Array.isArray(result) ? result.map(checkedPair) : Object.entries(result).map(checkedHeader);
}

function checkedPair(pair: unknown, index: number): HeaderPair {
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new TypeError(`expected header ${index + 1} to be [name, value], got ${describeValue(pair)}`);
  return checkedHeader([pair[0], pair[1]], index);
}

/** RFC 9110 §5.1 (a name is a token) and §5.5 (a value has no control characters but tab, and no character above U+00FF). */
function checkedHeader([name, value]: readonly [unknown, unknown], index: number): HeaderPair {
  if (typeof name !== 'string') throw new TypeError(`expected the name of header ${index + 1} to be a string, got ${describeValue(name)}`);
  if (!tokenPattern.test(name)) throw new TypeError(`the name of header ${index + 1} is not a valid HTTP header name`);
  if (typeof value !== 'string') throw new TypeError(`expected the value of header ${name} to be a string, got ${describeValue(value)}`);
  if (/[\r\n]/.test(value)) throw new TypeError(`the value of header ${name} contains a line break`);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
    throw new TypeError(`the value of header ${name} contains a character that HTTP does not allow`);
  return [name, value];
}

/** Result of `prepareBody`; bytes are copied: the module may change its own buffer later. */
export function checkedBody(result: unknown): Body {
  if (typeof result === 'string') return result;
  if (result instanceof Uint8Array) return new Uint8Array(result);
  throw new TypeError(`expected a string or a Uint8Array, got ${describeValue(result)}`);
}

/** The type of a value, without its content. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? `an array of ${value.length}` : typeof value;
}
