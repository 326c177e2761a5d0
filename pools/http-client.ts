import type { Clock } from '../src/kit/clock.ts';
import type { Random } from '../src/kit/pacing.ts';
import { Connection } from './connection.ts';
import type { PoolThreadSettings } from './contract.ts';
import type { Dial } from './dial.ts';
import type { Exchange } from './exchange.ts';
import { requestHeaders } from './request-headers.ts';
import type { Worker } from './worker.ts';

/** Puts exchanges on the wire, over connections to one origin. Follows no redirect, retries nothing. */
export interface HttpClient {
  /**
   * Carries the exchange through its phases and never throws. `free` is called once its worker can take another one:
   * that can be after the exchange has concluded. At most `workers` exchanges may be under way.
   */
  send(exchange: Exchange, free: () => void): void;
  /** Lends a worker for a message with a session, until it is given back. It counts as an exchange under way. */
  lend(): Worker;
  giveBack(worker: Worker): void;
  /** Closes the connections. Nothing is under way any more. */
  close(): Promise<void>;
}

export interface HttpClientSurroundings {
  readonly settings: PoolThreadSettings;
  readonly newWorker: NewWorker;
  readonly clock: Clock;
  readonly random: Random;
  readonly dial: Dial;
}

/**
 * One connection per worker, made when it is first needed. The worker that was used last is used first, so that a quiet
 * pool keeps few connections, and keeps them warm.
 */
export function createHttpClient({ settings, newWorker, clock, random, dial }: HttpClientSurroundings): HttpClient {
  const { userAgent } = settings;
  const longevity = { clock, random, maxAgeMs: settings.maxConnectionAgeMs };
  const workers: Worker[] = [];
  const idle: Worker[] = [];

  function lend(): Worker {
    const worker = idle.pop();
    worker?.connection.retire();
    return worker ?? hire();
  }

  function hire(): Worker {
    const worker = newWorker(new Connection(dial, longevity));
    workers.push(worker);
    return worker;
  }

  return {
    send: (exchange, free) => {
      const worker = lend();
      worker.carry(exchange, {
        headers: requestHeaders(exchange.job, { userAgent, now: clock.now() }),
        free: () => {
          worker.connection.retire();
          idle.push(worker);
          free();
        },
      });
    },
    lend,
    giveBack: (worker) => {
      worker.connection.retire();
      worker.connection.rest();
      idle.push(worker);
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}

export type NewWorker = (connection: Connection) => Worker;

/** Loads the pool's client, and only that: each of them takes some 20 MB of every thread that knows it. */
export async function loadClient({ client, origin }: PoolThreadSettings): Promise<NewWorker> {
  switch (client) {
    case 'got': {
      const { gotWorkers } = await import('./got-worker.ts');
      return gotWorkers(origin);
    }
    case 'undici': {
      const { UndiciWorker } = await import('./undici-worker.ts');
      return (connection) => new UndiciWorker(origin, connection);
    }
    default:
      return client satisfies never;
  }
}
