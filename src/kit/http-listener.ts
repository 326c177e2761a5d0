/**
 * The HTTP/1.1 listener, with or without TLS, of every part that takes requests. It limits the number of connections, closes connections
 * that are too slow, and passes on only requests with a valid target and Host (RFC 9112 §3.2). `100 Continue` is sent only when a
 * body is read (`http-message.ts`).
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock, Timers } from './clock.ts';
import { type ErrorCode, ServiceError, toError } from './errors.ts';
import { normaliseTarget, sendText } from './http-message.ts';
import type { ListenerTls } from './listener-tls.ts';
import { Pacer } from './pacing.ts';

interface HttpListenerOptions extends HttpServerOptions {
  /** Port 0 selects any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Name of the setting that holds the address, for messages. */
  readonly setting: string;
  /** Code of the error that `open` throws. */
  readonly failure: ErrorCode;
  /** Time that requests in progress have to end when the listener closes, ms. */
  readonly endWithinMs: number;
}

/** A server with its address and lifetime. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #server: Server;
  #closing = false;

  constructor(options: HttpListenerOptions) {
    this.#options = options;
    this.#server = createHttpServer(options);
  }

  /** `http://host:port`, or with https; the port is the configured one until the listener is open. */
  get origin(): string {
    const { host, port } = this.#options.listen;
    const bound = this.#server.address();
    const shown = typeof bound === 'object' && bound !== null ? bound.port : port;
    return originOf({ host, port: shown, tls: this.#options.tls });
  }

  /** The listener is closing, so each response is the last on its connection. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Throws a ServiceError with the code `failure`. */
  async open(): Promise<void> {
    const { listen, failure, setting } = this.#options;
    try {
      this.#server.listen(listen);
      await once(this.#server, 'listening');
    } catch (cause) {
      throw new ServiceError(failure, `cannot listen on ${listen.host}:${listen.port}: ${listenProblem(cause, setting)}`, { cause });
    }
  }

  /** Resolves when every connection has ended; at once if the listener was never opened. */
  async close(): Promise<void> {
    this.#closing = true;
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    const cancel = this.#options.timers.after(this.#options.endWithinMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
  }
}

/** `http://host:port`, or with https. */
export function originOf({
  host,
  port,
  tls,
}: {
  readonly host: string;
  readonly port: number;
  readonly tls?: ListenerTls | undefined;
}): string {
  return `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Explains why a listener could not be opened and how to fix it. `setting` names the setting that holds its address. */
export function listenProblem(cause: unknown, setting: string): string {
  const { message } = toError(cause);
  if (message.includes('EADDRINUSE')) return `another program listens there; stop it, or change ${setting}`;
  if (message.includes('EACCES')) return `permission denied; use a port above 1023 in ${setting}`;
  if (message.includes('EADDRNOTAVAIL')) return `this machine does not have that address; change ${setting}`;
  return `${message}; check ${setting}`;
}

/** Reason for which a connection was refused. The set is closed because it is a metric label. */
export type ConnectionRefusal = 'accept-failed' | 'max-connections' | 'open-files';

interface HttpLimits {
  readonly maxConnections: number;
  /** Deadlines for the headers and for the whole request, ms; they also apply to the first request of a connection. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Time for which an idle connection is kept, ms. */
  readonly keepAliveMs: number;
  /** Time after which a client that does not read its response is disconnected, ms; default 60 s. */
  readonly unreadMs?: number;
}

export interface HttpServerOptions {
  readonly limits: HttpLimits;
  /** Undefined: no TLS. */
  readonly tls?: ListenerTls | undefined;
  serve(request: IncomingMessage, response: ServerResponse): Promise<void> | void;
  /** Answers a request with an invalid target or Host; default: 400 in plain text. */
  readonly refuse?: (response: ServerResponse, problem: string) => void;
  /** Reports the number of refused connections: at the first one, then at most every 10 s. */
  onRefused(reason: ConnectionRefusal, count: number): void;
  /** `serve` threw, which is a fault of the service. The request was answered with 500. */
  onFault(error: Error): void;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

/** Maximum number of pipelined requests on one connection; a client that sends more is disconnected. */
const maxUnanswered = 20;
const refusedEveryMs = 10_000;

/** Creates the server; the caller makes it listen. Counts for `onRefused` are reported no later than when it closes. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { limits, serve, refuse = refuseInText } = options;
  const { unreadMs = 60_000 } = limits;
  const server = openServer(options.tls, {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(500, limits.requestTimeoutMs),
  });
  server.maxConnections = limits.maxConnections;
  server.maxHeadersCount = 0; // their total size is limited; a limit on their number could drop a second Host
  const isTooMany = createPipelineLimit();

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isTooMany(request, response)) {
      request.socket.destroy();
      return;
    }
    response.once('prefinish', () => request.socket.setTimeout(unreadMs)); // after the response Node waits for the next request
    try {
      const problem = normaliseTarget(request);
      if (problem === undefined) await serve(request, response);
      else refuse(response, problem);
    } catch (thrown) {
      options.onFault(toError(thrown));
      if (response.headersSent) response.destroy();
      else sendText(response, { status: 500, text: 'internal error; see the log of the service' }, { last: true });
    }
  }

  const onRequest = (request: IncomingMessage, response: ServerResponse) => void receive(request, response);
  server.on('request', onRequest).on('checkContinue', onRequest);
  countRefused(server, options);
  return server;
}

/** A handshake may take as long as the headers. */
function openServer(tls: ListenerTls | undefined, limits: { readonly headersTimeout: number } & Record<string, number>): Server {
  if (tls === undefined) return createServer(limits);
  const server = createTlsServer({ ...limits, ...tls.options, handshakeTimeout: limits.headersTimeout });
  tls.onRenewed((context) => server.setSecureContext(context));
  return server;
}

/** Creates a test of whether a connection has more than {@link maxUnanswered} requests without a response. */
function createPipelineLimit(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const unanswered = new WeakMap<Socket, number>();

  return ({ socket }, response) => {
    const count = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    return count > maxUnanswered;
  };
}

/** Counts refused connections. Those that libuv closes for lack of descriptors are not visible here. */
function countRefused(server: Server, { onRefused, clock, timers }: HttpServerOptions): void {
  const counts = new Map<ConnectionRefusal, number>();
  const report = () => {
    for (const [reason, count] of counts) onRefused(reason, count);
    counts.clear();
  };
  const pacer = new Pacer({ everyMs: refusedEveryMs, clock, timers }, report);
  const count = (reason: ConnectionRefusal) => {
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
    pacer.nudge();
  };

  server.on('drop', () => count('max-connections'));
  server.on('error', (error) => {
    if (server.listening) count(isOpenFiles(error) ? 'open-files' : 'accept-failed'); // before that, `open` reports the error
  });
  server.on('close', () => {
    pacer.stop();
    report();
  });
}

function isOpenFiles(error: Error): boolean {
  return 'code' in error && (error.code === 'EMFILE' || error.code === 'ENFILE');
}

function refuseInText(response: ServerResponse, problem: string): void {
  sendText(response, { status: 400, text: problem }, { last: true });
}
