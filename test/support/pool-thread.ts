import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import type { FromPoolThread, Job, Outcome, PoolThreadSettings, ToPoolThread } from '../../pools/contract.ts';
import { serve } from '../../pools/serve.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createDeferred, type Deferred } from '../../src/kit/deferred.ts';

/** What runs in a pool's thread, run in this one, and spoken to over the same port. */
export interface ServedThread extends AsyncDisposable {
  /** Hands a job over; resolves with its outcome. */
  deliver(job: Job): Promise<Outcome>;
  stop(): Promise<void>;
}

export function serveHere(settings: PoolThreadSettings): ServedThread {
  const { port1: ours, port2: port } = new MessageChannel();
  const awaited = new Map<number, Deferred<Outcome>>();
  const served = serve({ port, settings, clock: systemClock });

  ours.on('message', (message: FromPoolThread) => {
    if (message.kind !== 'outcomes') return;
    for (const { key, outcome } of message.outcomes) awaited.get(key)?.resolve(outcome);
  });
  const post = (message: ToPoolThread): void => ours.postMessage(message);

  async function stop(): Promise<void> {
    const closed = once(ours, 'close'); // comes behind the last outcomes
    post({ kind: 'stop' });
    await served;
    await closed;
  }

  return {
    deliver: (job) => {
      const deferred = createDeferred<Outcome>();
      awaited.set(job.key, deferred);
      post({ kind: 'jobs', jobs: [job] });
      return deferred.promise;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
