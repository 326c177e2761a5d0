/** Handlers with callbacks at delivery: imports their modules into the pool's thread and calls their callbacks. */

import type { Timers } from '../../src/kit/clock.ts';
import { deepFreeze } from '../../src/kit/deep-freeze.ts';
import { asError, ServiceError, toError } from '../../src/kit/errors.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import { deliveryCallbacks, exportsOf, importModule, importProblem, pick } from '../callback-modules.ts';
import type { DeliveryCallbacks, HandlerOpts } from '../callbacks.ts';
import type { CallbackFailure, SessionHandler } from '../contract.ts';

/** A handler with callbacks at delivery, its module imported into this thread. */
export interface HandlerModule {
  readonly name: string;
  readonly opts: HandlerOpts;
  readonly callbacks: DeliveryCallbacks;
}

export type ImportModule = (url: string) => Promise<object>;

/** Imports the modules of a pool's handlers, by handler name. Throws CALLBACK_LOAD_FAILED, which lists the problems of all modules. */
export async function loadModules(
  handlers: readonly SessionHandler[],
  importFrom: ImportModule = importModule,
): Promise<ReadonlyMap<string, HandlerModule>> {
  const loaded = new Map<string, HandlerModule>();
  const problems: string[] = [];

  for (const { name, url, opts } of handlers) {
    try {
      loaded.set(name, { name, opts: deepFreeze(opts), callbacks: pick(exportsOf(await importFrom(url)), deliveryCallbacks) });
    } catch (thrown) {
      problems.push(`handler ${name} (${opts.callbackModule}): ${await importProblem(url, toError(thrown))}`);
    }
  }

  if (problems.length > 0) throw new ServiceError('CALLBACK_LOAD_FAILED', problems.join('\n'));
  return loaded;
}

/** One call of a callback at delivery. */
interface CallbackCall extends CallbackSubject {
  /** Returns undefined if the module does not have the callback. */
  invoke(callbacks: DeliveryCallbacks): unknown;
}

interface CallbackSubject {
  readonly module: HandlerModule;
  readonly callback: keyof DeliveryCallbacks;
  /** The delivery; undefined for a callback of a connection. */
  readonly id: DeliveryId | undefined;
}

export type Called = { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'returned'; readonly value: unknown };

interface CallbackCallerOptions {
  /** Time limit for a callback's promise, ms. */
  readonly timeoutMs: number;
  readonly timers: Timers;
  readonly report: (failure: CallbackFailure) => void;
}

export class CallbackCaller {
  readonly #options: CallbackCallerOptions;

  constructor(options: CallbackCallerOptions) {
    this.#options = options;
  }

  /** Never throws or rejects. A failure is reported; a result after the time limit is ignored. */
  async call(call: CallbackCall): Promise<Called> {
    try {
      return { kind: 'returned', value: await this.#inTime(call.invoke(call.module.callbacks)) };
    } catch (thrown) {
      this.report(call, thrown);
      return { kind: 'failed', message: describe(thrown) };
    }
  }

  /** Reports a problem of a callback, which may have returned normally. */
  report({ module, callback, id }: CallbackSubject, problem: unknown): void {
    this.#options.report({ handler: module.name, callback, id, message: describe(problem), at: topOfStack(problem) });
  }

  async #inTime(result: unknown): Promise<unknown> {
    if (typeof result !== 'object' || result === null) return result;
    const { timeoutMs, timers } = this.#options;
    const late = createDeferred<never>();
    const cancel = timers.after(timeoutMs, () => late.reject(new Error(`no result within ${timeoutMs} ms`)));
    try {
      return await Promise.race([result, late.promise]);
    } finally {
      cancel();
    }
  }
}

/** Maximum length of a reported error, in characters. */
const maxDescription = 500;

function describe(thrown: unknown): string {
  const error = asError(thrown);
  const text = error === undefined ? toError(thrown).message : `${error.name}: ${error.message}`;
  return text.slice(0, maxDescription);
}

/** The first locations of the stack trace, without the message, which may have several lines. */
function topOfStack(thrown: unknown): readonly string[] {
  const { stack = '' } = asError(thrown) ?? {};
  const lines = stack.split('\n').filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line));
  return lines.slice(0, 3).map((line) => line.trim());
}
