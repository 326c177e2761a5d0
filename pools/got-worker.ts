import { Agent } from 'node:http';
import { type Got, got } from 'got';
import { type Connection, connectionGone } from './connection.ts';
import type { Exchange } from './exchange.ts';
import { startGotCall } from './got-call.ts';
import type { Carriage, Worker } from './worker.ts';

/** How long an idle connection is kept at most, ms. Node's agent also ends it before the server's `keep-alive: timeout`. */
const KEEP_ALIVE_MS = 4000;

/** Makes workers of the same behaviour as undici's, for several times their CPU. */
export function gotWorkers(origin: string): (connection: Connection) => Worker {
  const client = got.extend({
    decompress: false,
    followRedirect: false,
    retry: { limit: 0 },
    throwHttpErrors: false,
  });
  return (connection) => createGotWorker(connection, { client, origin });
}

/** Node's agent is only given connections that stand. */
function createGotWorker(connection: Connection, { client, origin }: { readonly client: Got; readonly origin: string }): Worker {
  const agent = Object.assign(new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: KEEP_ALIVE_MS }), {
    createConnection: (_options: unknown, opened: (error: Error) => void) => {
      const standing = connection.take();
      if (standing === undefined) opened(connectionGone());
      return standing;
    },
  });

  function carry(exchange: Exchange, carriage: Carriage): void {
    const { onStale = () => resend(exchange, carriage) } = carriage;
    if (carriage.onStale !== undefined || connection.standing !== undefined) start(exchange, { ...carriage, onStale });
    else dialThenStart(exchange, { ...carriage, onStale });
  }

  /** What a stale connection failed goes out once more on a fresh one, as part of the same attempt. */
  function resend(exchange: Exchange, { headers, free }: Carriage): void {
    exchange.resend();
    dialThenStart(exchange, { headers, free });
  }

  function dialThenStart(exchange: Exchange, carriage: Carriage): void {
    exchange.begin(() => connection.drop(new Error('given up')));
    connection.prepare((error, _socket) => {
      if (error !== undefined) exchange.failed(error);
      if (exchange.concluded) carriage.free();
      else start(exchange, carriage);
    });
  }

  function start(exchange: Exchange, carriage: Carriage): void {
    startGotCall(exchange, { client, origin, agent, connection, ...carriage });
  }

  return {
    connection,
    carry,
    close: () => {
      agent.destroy();
      connection.drop(); // one that the agent has not been given
      return Promise.resolve();
    },
  };
}
