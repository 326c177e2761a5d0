import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../src/kit/clock.ts';
import { createDeferred } from '../src/kit/deferred.ts';
import { createPacer } from '../src/kit/pacer.ts';
import { systemTimers } from '../src/kit/timers.ts';
import type { FromPoolThread, Job, KeyedOutcome, Outcome, PoolThreadSettings, ToPoolThread } from './contract.ts';
import { createDeadlines } from './deadlines.ts';
import { createDial } from './dial.ts';
import { Exchange, type ExchangeSurroundings } from './exchange.ts';
import { createHttpClient } from './http-client.ts';
import { unsendable } from './request-headers.ts';
import { createWorkerQueue } from './worker-queue.ts';

export interface ThreadSurroundings {
  readonly port: MessagePort;
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
}

/**
 * A pool thread's whole life: takes jobs from the port and sends each outcome back when its own request has ended, with
 * those of the same millisecond in one message. Resolves after `stop`, when nothing is in flight and all is closed.
 */
export async function serve({ port, settings, clock }: ThreadSurroundings): Promise<void> {
  const stopped = createDeferred<void>();
  const outcomes = createOutcomeBatch(clock, (message) => port.postMessage(message));
  const around: ExchangeSurroundings = { settings, clock, deadlines: createDeadlines(clock), onOutcome: outcomes.add };
  const client = createHttpClient({ settings, clock, dial: createDial(settings) });
  const queue = createWorkerQueue(settings.workers, carry);

  function carry(job: Job, free: () => void): void {
    const exchange = new Exchange(job, around);
    const mistake = unsendable(job);
    if (mistake === undefined) return client.send(exchange, free);
    exchange.refused(mistake);
    free();
  }

  port.on('message', (message: ToPoolThread) => {
    switch (message.kind) {
      case 'disposed':
        return undefined;
      case 'jobs':
        return message.jobs.forEach(queue.enqueue);
      case 'ping':
        return port.postMessage({ kind: 'alive' } satisfies FromPoolThread);
      case 'stop':
        return stopped.resolve();
      default:
        return message satisfies never;
    }
  });

  await stopped.promise;
  await queue.idle();
  await client.close();
  outcomes.flush();
  port.close();
}

/** Messages leave at most this often, ms. */
const outcomesEveryMs = 1;

/** Gathers outcomes: the first after a rest leaves at once, then all that came meanwhile. */
function createOutcomeBatch(clock: Clock, post: (message: FromPoolThread) => void) {
  let batch: KeyedOutcome[] = [];
  const pacer = createPacer({ everyMs: outcomesEveryMs, clock, timers: systemTimers }, flush);

  function flush(): void {
    if (batch.length > 0) post({ kind: 'outcomes', outcomes: batch });
    batch = [];
  }

  function add(key: number, outcome: Outcome): void {
    batch.push({ key, outcome });
    pacer.nudge();
  }

  return { add, flush };
}
