import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { JobCompactor, outcomeOf } from '../../pools/compact.ts';
import type { CallbackFailure, FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from '../../pools/contract.ts';
import { carrierOf } from '../../pools/deliver.worker.ts';
import { serve } from '../../pools/serve.ts';
import type { ImportModule } from '../../pools/session/handler-module.ts';
import { systemClock } from '../../src/kit/clock.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { DispositionKind, Outcome } from '../../src/model/attempt.ts';

/** The code of a pool thread, run in the thread of the test, with the same port. */
export interface ServedThread extends AsyncDisposable {
  /** Sends a job; resolves with its outcome. */
  deliver(job: Job): Promise<Outcome>;
  /** Sends jobs in one message; resolves with their outcomes. */
  deliverAll(jobs: readonly Job[]): Promise<Outcome[]>;
  /** Sends a job; resolves with its outcome and the judgement of the callbacks. */
  judge(job: Job): Promise<KeyedOutcome>;
  /** Reports the disposition of a job. */
  dispose(key: number, disposition: DispositionKind): void;
  /** Answers about access tokens, in order. */
  readonly tokens: readonly { readonly lifetimeMs: number; readonly reason: string }[];
  /** Failures of callbacks, in order. */
  readonly failures: readonly CallbackFailure[];
  /** Settles together with the thread's task. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

export function serveHere(settings: PoolThreadSettings, importModule?: ImportModule, resolve?: Resolve): ServedThread {
  const { port1: ours, port2: port } = new MessageChannel();
  const awaited = new Map<number, Deferred<KeyedOutcome>>();
  const failures: CallbackFailure[] = [];
  const tokens: { readonly lifetimeMs: number; readonly reason: string }[] = [];
  const served = serve({ port, settings, clock: systemClock, openCarrier: carrierOf({ importModule, resolve }) });

  ours.on('message', (message: FromPoolThread) => {
    if (message.kind === 'callback-failed') failures.push(message);
    if (message.kind === 'token') tokens.push(message.token);
    if (message.kind !== 'outcomes') return;
    for (const outcome of message.outcomes.map(outcomeOf)) awaited.get(outcome.key)?.resolve(outcome);
  });
  const compactor = new JobCompactor();
  const post = (message: ToPoolThread): void => ours.postMessage(message);

  async function judgeAll(jobs: readonly Job[]): Promise<KeyedOutcome[]> {
    const pending = jobs.map(({ key }) => {
      const deferred = createDeferred<KeyedOutcome>();
      awaited.set(key, deferred);
      return deferred.promise;
    });
    post({ kind: 'jobs', jobs: jobs.map((job) => compactor.compact(job)) });
    return await Promise.all(pending);
  }

  async function judge(job: Job): Promise<KeyedOutcome> {
    const [outcome] = await judgeAll([job]);
    if (outcome === undefined) throw new Error('one job has one outcome');
    return outcome;
  }

  let stopped: Promise<void> | undefined;
  async function end(): Promise<void> {
    const closed = once(ours, 'close'); // arrives after the last outcomes
    post({ kind: 'stop' });
    await served;
    await closed;
  }

  function stop(): Promise<void> {
    stopped ??= end();
    return stopped;
  }

  return {
    deliver: async (job) => (await judge(job)).outcome,
    deliverAll: async (jobs) => (await judgeAll(jobs)).map(({ outcome }) => outcome),
    judge,
    dispose: (key, disposition) => post({ kind: 'disposed', key, disposition }),
    failures,
    tokens,
    ended: served,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
