import { Socket } from 'node:net';
import { Client, type QueryArrayConfig, types } from 'pg';
import { systemTimers, within } from '../../kit/clock.ts';
import type { Statement } from './write-set.ts';

const connectTimeoutMs = 10_000;

/** How long a query may take before its connection counts as lost, unless a caller allows more, ms. */
const queryTimeoutMs = 30_000;

/** How long the server may take to end a session, ms. */
const endTimeoutMs = 1000;

/** PostgreSQL sends `bigint` as text, since it may exceed the numbers of JavaScript; ours do not. */
const bigintType = 20;

/** One session of the server. After an error of the connection every query fails. */
export class Connection {
  readonly #socket = new Socket();
  readonly #client: Client;

  constructor(url: string) {
    this.#client = new Client({
      connectionString: url,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'event-pusher',
      types: { getTypeParser: parserOf },
      stream: () => this.#socket,
    });
    this.#client.on('error', () => undefined); // the next query fails with it
  }

  async open(): Promise<void> {
    await this.#client.connect();
  }

  /** Runs one or several statements without values. Returns the rows of the last one. */
  async query<Row extends unknown[]>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return this.run({ name: '', text, values });
  }

  /** Rows as arrays of values. */
  async run<Row extends unknown[]>({ name, text, values }: Statement, timeoutMs = queryTimeoutMs): Promise<readonly Row[]> {
    const query: QueryArrayConfig & { readonly query_timeout: number } = {
      text,
      values: [...values],
      rowMode: 'array',
      query_timeout: timeoutMs,
    };
    const result = await this.#client.query<Row>(name === '' ? query : { ...query, name });
    return result.rows;
  }

  /** Runs a statement, and returns the details that the server gives about it. */
  async detailsOf(text: string, timeoutMs: number): Promise<readonly string[]> {
    const details: string[] = [];
    const note = ({ detail }: { readonly detail?: string | undefined }) => details.push(detail ?? '');
    this.#client.on('notice', note);
    try {
      await this.run({ name: '', text, values: [] }, timeoutMs);
      return details;
    } finally {
      this.#client.off('notice', note);
    }
  }

  /** Ends the session at once. The server may go on with the statement that it was sent. */
  abandon(): void {
    this.#socket.destroy();
  }

  /** Ends the session; a server that does not answer is abandoned. */
  async close(): Promise<void> {
    const ended = this.#client.end().catch(() => undefined); // it may be lost already
    await within(ended, endTimeoutMs, systemTimers);
    this.abandon();
  }
}

function parserOf(type: number, format?: 'binary' | 'text') {
  return type === bigintType ? Number : types.getTypeParser(type, format);
}
