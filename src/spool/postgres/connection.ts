import { Socket } from 'node:net';
import { Client, types } from 'pg';
import { systemTimers, within } from '../../kit/clock.ts';
import type { Statement } from './write-set.ts';

const connectTimeoutMs = 10_000;

/** How long a query may take before its connection counts as lost, ms. */
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
      query_timeout: queryTimeoutMs,
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
  async run<Row extends unknown[]>({ name, text, values }: Statement): Promise<readonly Row[]> {
    const named = name === '' ? {} : { name };
    const result = await this.#client.query<Row>({ ...named, text, values: [...values], rowMode: 'array' });
    return result.rows;
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
