import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Listener } from '../../../config/config.ts';
import { ServiceError } from '../../../kit/errors.ts';
import { createLifecycle, type Lifecycle } from '../../../kit/lifecycle.ts';
import { listenProblem } from '../../../kit/listen-problem.ts';
import type { Timers } from '../../../kit/timers.ts';

export interface ListenersOptions {
  /** The attachment's name. */
  readonly name: string;
  readonly listeners: readonly Listener[];
  readonly limits: ServerOptions;
  readonly timers: Timers;
  serve(request: IncomingMessage, response: ServerResponse, listener: string): void;
  /** A listener is open. */
  opened(listener: string, address: string): void;
}

const maxConnections = 1000;
/** What is under way when the listeners stop has this long to end, ms. */
const endWithinMs = 5000;

/** Several listeners with one life. Starting throws ATTACH_LISTEN_FAILED, and leaves none open. */
export function createListeners({ name, listeners, limits, timers, serve, opened }: ListenersOptions): Lifecycle {
  const open: Server[] = [];

  async function openOne(listener: Listener): Promise<void> {
    const server = createServer(limits, (request, response) => serve(request, response, listener.name));
    server.maxConnections = maxConnections;
    server.maxHeadersCount = 0; // they are counted at the door, and their bytes are bounded by Node
    try {
      server.listen({ host: listener.host, port: listener.port });
      await once(server, 'listening');
    } catch (cause) {
      const problem = listenProblem(cause, `[attach.${name}] listen`);
      throw new ServiceError('ATTACH_LISTEN_FAILED', `cannot listen on ${listener.host}:${listener.port}: ${problem}`, { cause });
    }
    open.push(server);
    opened(listener.name, addressOf(server, listener));
  }

  async function close(server: Server): Promise<void> {
    const closed = once(server, 'close');
    server.close();
    server.closeIdleConnections();
    const callOff = timers.after(endWithinMs, () => server.closeAllConnections());
    await closed;
    callOff();
  }

  return createLifecycle({
    start: async () => {
      for (const listener of listeners) await openOne(listener);
    },
    stop: async () => void (await Promise.all(open.map(close))),
  });
}

function addressOf(server: Server, { host, port }: Listener): string {
  const bound = server.address();
  const taken = typeof bound === 'object' && bound !== null ? bound.port : port;
  return `http://${host.includes(':') ? `[${host}]` : host}:${taken}`;
}
