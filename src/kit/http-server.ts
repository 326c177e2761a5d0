/**
 * The server under every listener. It holds no more connections than its limit, ends those that are slow on purpose, and
 * hands on only requests whose target and Host are right (RFC 9112 §3.2). An interim answer is sent when a body is read, and
 * not before (`http-message.ts`).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { toError } from './errors.ts';
import { sendText } from './http-message.ts';
import { createPacer } from './pacer.ts';
import { readTarget } from './request-target.ts';
import type { Timers } from './timers.ts';

/** Why a connection was not taken. Bounded, since it is a label. */
export type ConnectionRefusal = 'accept-failed' | 'max-connections' | 'open-files';

export interface HttpLimits {
  readonly maxConnections: number;
  /** A request's headers, and the whole of it, must have come within these, ms; so must the first request of a connection. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A connection without a request is kept so long, ms. */
  readonly keepAliveMs: number;
  /** A client that reads nothing of its answer for so long is cut off, ms; default 60 s. */
  readonly unreadMs?: number;
}

export interface HttpServerOptions {
  readonly limits: HttpLimits;
  serve(request: IncomingMessage, response: ServerResponse): Promise<void> | void;
  /** Answers a request whose target or Host is wrong; default 400 in plain text. */
  readonly refuse?: (response: ServerResponse, problem: string) => void;
  /** So many connections were not taken. Called at the first, then at most every 10 s. */
  onRefused(reason: ConnectionRefusal, count: number): void;
  /** `serve` threw: a fault of ours. The request was answered 500. */
  onFault(error: Error): void;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

/** Requests of one connection that wait for their answers: a client that sends more is cut off. */
const maxUnanswered = 20;
const refusedEveryMs = 10_000;

/** Not listening yet. What it counts for `onRefused` is told at the latest when it closes. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { limits, serve, refuse = refuseInText } = options;
  const { unreadMs = 60_000 } = limits;
  const server = createServer({
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(500, limits.requestTimeoutMs),
  });
  server.maxConnections = limits.maxConnections;
  server.maxHeadersCount = 0; // their bytes are bounded, and none may hide a second Host
  const unanswered = new WeakMap<Socket, number>();

  function isTooMany({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const count = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    return count > maxUnanswered;
  }

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isTooMany(request, response)) {
      request.socket.destroy();
      return;
    }
    response.once('prefinish', () => request.socket.setTimeout(unreadMs)); // once it is read, Node waits for the next request
    try {
      const problem = readTarget(request);
      if (problem === undefined) await serve(request, response);
      else refuse(response, problem);
    } catch (thrown) {
      options.onFault(toError(thrown));
      if (response.headersSent) response.destroy();
      else sendText(response, { status: 500, text: 'the service made a mistake; its log says more' }, { last: true });
    }
  }

  const take = (request: IncomingMessage, response: ServerResponse) => void receive(request, response);
  server.on('request', take).on('checkContinue', take);
  countRefused(server, options);
  return server;
}

/** Every refused connection is counted; those that the system refused for us (libuv closes them) are not seen. */
function countRefused(server: Server, { onRefused, clock, timers }: HttpServerOptions): void {
  const counts = new Map<ConnectionRefusal, number>();
  const report = () => {
    for (const [reason, count] of counts) onRefused(reason, count);
    counts.clear();
  };
  const pacer = createPacer({ everyMs: refusedEveryMs, clock, timers }, report);
  const count = (reason: ConnectionRefusal) => {
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
    pacer.nudge();
  };

  server.on('drop', () => count('max-connections'));
  server.on('error', (error) => {
    if (server.listening) count(isOpenFiles(error) ? 'open-files' : 'accept-failed'); // else it could not be opened: `listen` says so
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
