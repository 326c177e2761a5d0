import { type Timers, within } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { describeDifferences, fixedDifferences } from './compare.ts';
import type { Config, HandlerConfig } from './config.ts';
import { readEnvironment } from './environment.ts';
import { loadConfig } from './load.ts';
import { requireAttachment } from './require-attachment.ts';

/** What came of a new configuration, and why: what it changes, or its mistakes. */
export interface Reloaded {
  readonly result: 'applied' | 'refused' | 'restart';
  readonly reason: string;
}

export interface ReloaderOptions<Loaded> {
  /** What runs when the first reload is asked for. */
  readonly config: Config;
  /** Imports the callback modules anew; `reload` counts from 1. Throws what is wrong with them. */
  load(handlers: readonly HandlerConfig[], reload: number): Promise<Loaded>;
  /** Gives the running parts what is new. When it throws, the old must go on. */
  apply(next: Config, loaded: Loaded, running: Config): Promise<void>;
  /** Called with a valid configuration before it is applied. */
  announce?(next: Config, running: Config): void;
  readonly timers: Timers;
}

/** A module that waits for ever at its top level must not keep later reloads waiting. */
const loadTimeoutMs = 30_000;

/**
 * Reads the configuration file of a running service anew, whenever the returned function is called, one call after the
 * other. The file is checked whole, its modules are imported, and then it is applied, or wants a restart for what a running
 * service cannot change; or nothing of it is taken.
 */
export function createReloader<Loaded>(options: ReloaderOptions<Loaded>): () => Promise<Reloaded> {
  let running = options.config;
  let reloads = 0;
  let last: Promise<unknown> = Promise.resolve();

  async function reload(): Promise<Reloaded> {
    try {
      const next = await loadConfig(running.file, readEnvironment());
      requireAttachment(next);
      const loaded = await load(next.handlers);
      options.announce?.(next, running);
      const fixed = fixedDifferences(running, next);
      if (fixed.length > 0) return { result: 'restart', reason: `${fixed.join(', ')} changed` };

      const reason = describeDifferences(running, next);
      await options.apply(next, loaded, running);
      running = next;
      return { result: 'applied', reason };
    } catch (thrown) {
      return { result: 'refused', reason: toError(thrown).message };
    }
  }

  async function load(handlers: readonly HandlerConfig[]): Promise<Loaded> {
    reloads += 1;
    const loading = options.load(handlers, reloads);
    if (await within(loading, loadTimeoutMs, options.timers)) return loading;
    const message = `the callback modules are not loaded after ${loadTimeoutMs / 1000} s: one of them waits at its top level`;
    throw new ServiceError('CALLBACK_LOAD_FAILED', message);
  }

  return () => {
    const reloaded = last.then(reload);
    last = reloaded;
    return reloaded;
  };
}
