/** Completes the headers of each attempt just before it is sent: adds those of the pool, then the signatures. */
import type { Connection } from './connection.ts';
import type { Job, PoolHeader, PoolThreadSettings } from './contract.ts';
import type { Exchange } from './exchange.ts';
import type { NewWorker, SendOptions, Worker } from './http-client.ts';
import { Signer } from './sign.ts';

/** Returns the headers of an attempt (names and values, flat) with others added. */
type Complete = (job: Job, headers: string[]) => string[];

/** Creates workers that complete the headers of each request before `newWorker`'s send it. */
export function completingWorkers(newWorker: NewWorker, { headers, signing }: Pick<PoolThreadSettings, 'headers' | 'signing'>): NewWorker {
  const signer = new Signer(signing ?? { ofPool: [], ofHandlers: [] });
  const ofPool = new PoolHeaders(headers);
  const complete: Complete = (job, given) => signer.sign(job, ofPool.addTo(given));
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

/** The headers that a pool adds to each request. */
class PoolHeaders {
  /** With their names in lower case, to compare. */
  readonly #headers: readonly (PoolHeader & { readonly lower: string })[];
  readonly #replaced: ReadonlySet<string>;

  constructor(headers: readonly PoolHeader[]) {
    this.#headers = headers.map((header) => ({ ...header, lower: header.name.toLowerCase() }));
    this.#replaced = new Set(this.#headers.flatMap(({ lower, replaces }) => (replaces ? [lower] : [])));
  }

  /** A header that a callback has set is kept, except one that the pool replaces: credentials are the pool's alone. */
  addTo(given: string[]): string[] {
    if (this.#headers.length === 0) return given;
    const set = new Set<string>();
    const headers: string[] = [];
    for (let index = 0; index < given.length; index += 2) {
      const [name = '', value = ''] = [given[index], given[index + 1]];
      const lower = name.toLowerCase();
      if (this.#replaced.has(lower)) continue;
      set.add(lower);
      headers.push(name, value);
    }
    for (const { name, lower, value } of this.#headers) if (!set.has(lower)) headers.push(name, value);
    return headers;
  }
}
