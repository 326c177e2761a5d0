import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerOptions, type ServerResponse } from 'node:http';
import { type ErrorCode, ServiceError } from './errors.ts';
import { listenProblem } from './listen-problem.ts';
import type { Timers } from './timers.ts';

export interface HttpListenerOptions {
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The setting that holds the address, for people. */
  readonly setting: string;
  /** What is thrown when it cannot be opened. */
  readonly failure: ErrorCode;
  /** Bounds on clients that are slow on purpose; ms. */
  readonly limits: ServerOptions;
  readonly maxConnections: number;
  /** Header fields that are read of a request, 0: all; default Node's own. */
  readonly maxHeaders?: number;
  /** What is under way when it closes has this long to end, ms. */
  readonly endWithinMs: number;
  serve(request: IncomingMessage, response: ServerResponse): Promise<void>;
  readonly timers: Timers;
}

/** A listener for HTTP/1.1 without TLS. */
export interface HttpListener {
  /** `http://host:port`; the port is the configured one until it is open. */
  readonly origin: string;
  /** It closes: answers are the last of their connections. */
  readonly closing: boolean;
  /** Throws `failure`. */
  open(): Promise<void>;
  /** Resolves when every connection has ended; one that was never opened is closed. */
  close(): Promise<void>;
}

export function createHttpListener({
  listen,
  setting,
  failure,
  limits,
  maxConnections,
  maxHeaders,
  endWithinMs,
  serve,
  timers,
}: HttpListenerOptions): HttpListener {
  const server = createServer(limits, (request, response) => void serve(request, response));
  server.maxConnections = maxConnections;
  if (maxHeaders !== undefined) server.maxHeadersCount = maxHeaders;
  let closing = false;

  async function open(): Promise<void> {
    try {
      server.listen(listen);
      await once(server, 'listening');
    } catch (cause) {
      throw new ServiceError(failure, `cannot listen on ${listen.host}:${listen.port}: ${listenProblem(cause, setting)}`, { cause });
    }
  }

  async function close(): Promise<void> {
    closing = true;
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    const callOff = timers.after(endWithinMs, () => server.closeAllConnections());
    await closed;
    callOff();
  }

  return {
    get origin() {
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
      return `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${port}`;
    },
    get closing() {
      return closing;
    },
    open,
    close,
  };
}
