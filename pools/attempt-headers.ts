/** Completes the headers of each attempt just before it is sent: adds those of the pool, then the signatures. */
import type { Connection } from './connection.ts';
import type { Job, PoolHeader, PoolThreadSettings } from './contract.ts';
import type { Exchange } from './exchange.ts';
import type { NewWorker, SendOptions, Worker } from './http-client.ts';
import { Signer, without } from './sign.ts';

/** Returns the headers of an attempt (names and values, flat) with others added. */
type Complete = (job: Job, headers: string[]) => string[];

/** Creates workers that complete the headers of each request before `newWorker`'s send it. */
export function completingWorkers(newWorker: NewWorker, { headers, signing }: Pick<PoolThreadSettings, 'headers' | 'signing'>): NewWorker {
  const signer = new Signer(signing ?? { ofPool: [], ofHandlers: [] });
  const complete: Complete = (job, given) => signer.sign(job, withPoolHeaders(given, headers));
  return (connection) => new CompletingWorker(newWorker(connection), complete);
}

class CompletingWorker implements Worker {
  readonly connection: Connection;
  readonly #worker: Worker;
  readonly #complete: Complete;

  constructor(worker: Worker, complete: Complete) {
    this.connection = worker.connection;
    this.#worker = worker;
    this.#complete = complete;
  }

  send(exchange: Exchange, options: SendOptions): void {
    this.#worker.send(exchange, { ...options, headers: this.#complete(exchange.job, options.headers) });
  }

  close(): Promise<void> {
    return this.#worker.close();
  }
}

/** A header that a callback has set is kept, except one that the pool replaces: credentials are the pool's alone. */
function withPoolHeaders(given: string[], ofPool: readonly PoolHeader[]): string[] {
  const replaced = ofPool.filter(({ replaces }) => replaces).map(({ name }) => name.toLowerCase());
  const kept = replaced.reduce((headers, name) => without(name, headers), given);
  const names = new Set(kept.filter((_text, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  return [...kept, ...ofPool.flatMap(({ name, value }) => (names.has(name.toLowerCase()) ? [] : [name, value]))];
}
