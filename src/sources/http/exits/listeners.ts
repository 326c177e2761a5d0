import type { IncomingMessage, ServerOptions, ServerResponse } from 'node:http';
import type { Listener } from '../../../config/config.ts';
import { createHttpListener } from '../../../kit/http-listener.ts';
import { createLifecycle, type Lifecycle } from '../../../kit/lifecycle.ts';
import type { Timers } from '../../../kit/timers.ts';

export interface ListenersOptions {
  /** The attachment's name. */
  readonly name: string;
  readonly listeners: readonly Listener[];
  readonly limits: ServerOptions;
  readonly timers: Timers;
  serve(request: IncomingMessage, response: ServerResponse, listener: string): Promise<void>;
  /** A listener is open. */
  opened(listener: string, address: string): void;
}

const maxConnections = 1000;
/** What is under way when the listeners stop has this long to end, ms. */
const endWithinMs = 5000;

/** Several listeners with one life. Starting throws ATTACH_LISTEN_FAILED, and leaves none open. */
export function createListeners({ name, listeners, limits, timers, serve, opened }: ListenersOptions): Lifecycle {
  const all = listeners.map((listen) => {
    const http = createHttpListener({
      listen,
      setting: `[attach.${name}] listen`,
      failure: 'ATTACH_LISTEN_FAILED',
      limits,
      maxConnections,
      maxHeaders: 0, // they are counted at the door, and their bytes are bounded by Node
      endWithinMs,
      serve: (request, response) => serve(request, response, listen.name),
      timers,
    });
    return { name: listen.name, http };
  });

  return createLifecycle({
    start: async () => {
      for (const listener of all) {
        await listener.http.open();
        opened(listener.name, listener.http.origin);
      }
    },
    stop: async () => void (await Promise.all(all.map(({ http }) => http.close()))),
  });
}
