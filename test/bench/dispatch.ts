import { PoolThreads } from '../../dist/src/delivery/pool-threads.js';
import type { Job, PoolThreadSettings } from '../../pools/contract.ts';
import { defaultTls } from '../../src/config/tls.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { type Cost, measureCost } from './cost.ts';

/** A pool's dispatch path as the service uses it: main thread → pool thread → request → outcome → main thread. */
export async function measureDispatch({
  origin,
  workers,
  requests,
}: {
  readonly origin: string;
  readonly workers: number;
  readonly requests: number;
}): Promise<Cost> {
  const traffic = createTraffic(workers);
  const threads = new PoolThreads({
    settings: settingsOf(origin, workers),
    threads: 1,
    clock: systemClock,
    timers: systemTimers,
    events: createEventBus(),
    onOutcome: (_key, { outcome }) => traffic.ended(outcome),
    onLost: () => traffic.failed(new Error('the pool thread died')),
  });
  await threads.start();
  const drive = (count: number) => traffic.drive(count, (job) => threads.send(job));
  await drive(requests / 5);
  const cost = await measureCost(requests, () => drive(requests));
  await threads.stop();
  return cost;
}

/** Sends jobs like the dispatcher, two per worker, up to the total. */
function createTraffic(workers: number) {
  let left = 0;
  let open = 0;
  let key = 0;
  let send: (job: Job) => void = () => undefined;
  let resolve: () => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;

  function next(): void {
    if (left === 0) return open === 0 ? resolve() : undefined;
    left -= 1;
    open += 1;
    key += 1;
    send(jobOf(key));
  }

  return {
    drive: (count: number, by: (job: Job) => void) =>
      new Promise<void>((onDone, onFailed) => {
        [left, send, resolve, reject] = [count, by, onDone, onFailed];
        for (let handed = 0; handed < workers * 2; handed += 1) next();
      }),
    ended: (outcome: Outcome) => {
      open -= 1;
      if (outcome.kind !== 'answered' || outcome.status !== 200) reject(new Error(`not accepted: ${JSON.stringify(outcome)}`));
      next();
    },
    failed: (error: Error) => reject(error),
  };
}

function jobOf(key: number): Job {
  return {
    key,
    id: `01a2019b-5df8-7001-9297-${key}` as Job['id'],
    attempt: 1,
    method: 'POST',
    path: '/webservice/notifications',
    headers: [['content-type', 'application/x-www-form-urlencoded']],
    body: 'author=user1&server=localhost&receiver=peer1&message=12345.678+and+some+words%2C+as+people+write+them',
    seenAt: '2026-11-22T00:00:00.000Z',
  };
}

function settingsOf(origin: string, workers: number): PoolThreadSettings {
  return {
    name: 'http_pool',
    client: 'undici',
    origin,
    workers,
    requestTimeoutMs: 2000,
    callTimeoutMs: 5000,
    maxConnectionAgeMs: 300_000,
    maxResponseBytes: 1_048_576,
    userAgent: 'xmpp-event-pusher/bench',
    handlers: [],
    callbackTimeoutMs: 5000,
    tls: defaultTls,
  };
}
