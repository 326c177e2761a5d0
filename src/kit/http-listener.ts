import { once } from 'node:events';
import type { Server } from 'node:http';
import { type ErrorCode, ServiceError } from './errors.ts';
import { createHttpServer, type HttpServerOptions } from './http-server.ts';
import { listenProblem } from './listen-problem.ts';

export interface HttpListenerOptions extends HttpServerOptions {
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The setting that holds the address, for people. */
  readonly setting: string;
  /** What is thrown when it cannot be opened. */
  readonly failure: ErrorCode;
  /** What is under way when it closes has this long to end, ms. */
  readonly endWithinMs: number;
}

/** A listener for HTTP/1.1 without TLS. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #server: Server;
  #closing = false;

  constructor(options: HttpListenerOptions) {
    this.#options = options;
    this.#server = createHttpServer(options);
  }

  /** `http://host:port`; the port is the configured one until it is open. */
  get origin(): string {
    const { host, port } = this.#options.listen;
    const bound = this.#server.address();
    const shown = typeof bound === 'object' && bound !== null ? bound.port : port;
    return `http://${host.includes(':') ? `[${host}]` : host}:${shown}`;
  }

  /** The listener is closing, so each response is the last on its connection. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Throws `failure`. */
  async open(): Promise<void> {
    const { listen, failure, setting } = this.#options;
    try {
      this.#server.listen(listen);
      await once(this.#server, 'listening');
    } catch (cause) {
      throw new ServiceError(failure, `cannot listen on ${listen.host}:${listen.port}: ${listenProblem(cause, setting)}`, { cause });
    }
  }

  /** Resolves when every connection has ended; resolves at once if the listener was never opened. */
  async close(): Promise<void> {
    this.#closing = true;
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    const callOff = this.#options.timers.after(this.#options.endWithinMs, () => this.#server.closeAllConnections());
    await closed;
    callOff();
  }
}
