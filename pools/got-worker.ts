import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import type { Socket } from 'node:net';
import { type Got, got, type Method, type Request, type RequestFunction } from 'got';
import type { Body } from '../src/model/delivery.ts';
import { CONNECTION_GONE, type Connection, connectionGone } from './connection.ts';
import type { Job } from './contract.ts';
import { codeOf, type Exchange, protocolChanged } from './exchange.ts';
import type { NewWorker, SendOptions, Worker } from './http-client.ts';

/** How long an idle connection is kept at most, ms. Node's agent also closes it before the server's `keep-alive: timeout`. */
const KEEP_ALIVE_MS = 4000;

/** Creates workers that behave like undici's, for several times their CPU. */
export function gotWorkers(origin: string): NewWorker {
  const client = got.extend({
    decompress: false,
    followRedirect: false,
    retry: { limit: 0 },
    throwHttpErrors: false,
  });
  return (connection) => new GotWorker(connection, { client, origin });
}

interface GotTarget {
  readonly client: Got;
  readonly origin: string;
}

/** One connection over got. Node's agent only gets connections that are already open. */
class GotWorker implements Worker {
  readonly connection: Connection;
  readonly #target: GotTarget;
  readonly #agent: Agent;

  constructor(connection: Connection, target: GotTarget) {
    this.connection = connection;
    this.#target = target;
    this.#agent = Object.assign(new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: KEEP_ALIVE_MS }), {
      createConnection: (_options: unknown, opened: (error: Error) => void) => {
        const unused = connection.takeUnused();
        if (unused === undefined) opened(connectionGone());
        return unused;
      },
    });
  }

  send(exchange: Exchange, options: SendOptions): void {
    const { onStale = () => this.#resend(exchange, options) } = options;
    const isOpen = options.onStale !== undefined || this.connection.current !== undefined;
    if (isOpen) this.#start(exchange, { ...options, onStale });
    else this.#dialThenStart(exchange, { ...options, onStale });
  }

  close(): Promise<void> {
    this.#agent.destroy();
    this.connection.destroy(); // one that the agent has not taken
    return Promise.resolve();
  }

  /** Sends a request that failed on a stale connection once more on a new one, as part of the same attempt. */
  #resend(exchange: Exchange, { headers, free }: SendOptions): void {
    exchange.resend();
    this.#dialThenStart(exchange, { headers, free });
  }

  #dialThenStart(exchange: Exchange, options: SendOptions): void {
    exchange.start(() => this.connection.destroy(new Error('aborted')));
    this.connection.openAhead((error, _socket) => {
      if (error !== undefined) exchange.failed(error);
      if (exchange.concluded) options.free();
      else this.#start(exchange, options);
    });
  }

  #start(exchange: Exchange, options: SendOptions): void {
    new GotCall(exchange, { ...this.#target, ...options, agent: this.#agent, connection: this.connection }).start();
  }
}

interface GotCallOptions extends GotTarget, SendOptions {
  /** Gives the connection. */
  readonly agent: Agent;
  readonly connection: Connection;
}

/**
 * One exchange as a got stream. Deadlines and the size limit are the exchange's; got has none. It also follows Node's request
 * under the stream, to know when the connection is assigned, and whether a reused one gave nothing back.
 */
class GotCall {
  readonly #exchange: Exchange;
  readonly #options: GotCallOptions;
  readonly #stream: Request;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  /** Bytes that the connection had received before this request. */
  #bytesBefore = 0;
  #finished = false;

  constructor(exchange: Exchange, options: GotCallOptions) {
    const { job } = exchange;
    this.#exchange = exchange;
    this.#options = options;
    this.#stream = options.client.stream(options.origin, {
      ...(hasBody(job) ? { body: bytesOf(job.body), allowGetBody: true } : {}), // a GET with `allowGetBody` waits for a body
      method: job.method as Method, // any token is a method (RFC 9110 §9.1); got's type lists the usual ones
      request: (_url, nodeOptions) => this.#createRequest(nodeOptions),
    });
  }

  start(): void {
    const exchange = this.#exchange;
    const stream = this.#stream;
    exchange.start(() => stream.destroy());
    stream.once('response', (response: IncomingMessage) => {
      if (response.statusCode !== 101) this.#answered(response);
    });
    stream.on('data', (chunk: Buffer) => exchange.data(chunk));
    stream.once('end', () => {
      exchange.ended();
      this.#finish();
    });
    stream.once('close', () => this.#finish());
    stream.once('error', (error) => this.#failed(error));
  }

  /**
   * got lower-cases header names, and parsing a URL rewrites its path; Node's request gets both as they are in the job. TLS belongs
   * to the connection, which is already open, so here the protocol is plain HTTP.
   */
  #createRequest(nodeOptions: Parameters<RequestFunction>[1]): ClientRequest {
    const { job } = this.#exchange;
    const { agent, headers, origin } = this.#options;
    const length = hasBody(job) ? ['content-length', String(Buffer.byteLength(job.body))] : [];
    const request = requestHttp({
      ...nodeOptions,
      agent,
      protocol: 'http:',
      headers: ['host', new URL(origin).host, ...headers, ...length],
      path: job.path,
    });
    this.#follow(request);
    return request;
  }

  /** After a 101 Node passes the connection to the listener of `upgrade`, or takes the 101 for the final response. */
  #follow(request: ClientRequest): void {
    this.#request = request;
    request.once('socket', (socket) => {
      this.#bytesBefore = socket.bytesRead;
      this.#options.connection.requestCount += 1;
      this.#exchange.sent();
    });
    request.once('upgrade', (_response, socket) => this.#changedProtocol(socket));
    request.on('information', ({ rawHeaders }) => this.#exchange.interim(rawHeaders));
    request.once('response', (response) => {
      if (response.statusCode === 101) this.#changedProtocol(response.socket);
      else this.#response = response;
    });
  }

  #changedProtocol(socket: Socket): void {
    socket.destroy();
    this.#stream.destroy(protocolChanged());
  }

  #answered({ statusCode = 0, statusMessage = '', headers, rawHeaders }: IncomingMessage): void {
    this.#exchange.recorder?.head(statusMessage, rawHeaders);
    this.#exchange.answered(statusCode, headers['retry-after']);
  }

  /** Bytes after a complete response are an error of the connection, so the status of the response counts. */
  #failed(error: Error): void {
    if (this.#finished) return;
    const { onStale } = this.#options;
    if (onStale !== undefined && !this.#exchange.concluded && this.#wasStale(error)) {
      this.#finished = true;
      return onStale(error);
    }
    if (this.#response?.complete === true) {
      this.#answered(this.#response);
      this.#exchange.ended();
    } else this.#exchange.failed(error);
    this.#finish();
  }

  #wasStale(error: Error): boolean {
    const code = codeOf(error);
    const gaveNothing = this.#options.connection.requestCount > 1 && this.#request?.socket?.bytesRead === this.#bytesBefore;
    return code === CONNECTION_GONE || (gaveNothing && closedByPeer.has(code));
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#options.free();
  }
}

/** Bytes, because Node would send the headers in the encoding of a text body, and headers are Latin-1. */
function bytesOf(body: Body): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** An empty body also has a length if the method expects a body (RFC 9110 §8.6). */
function hasBody({ body, method }: Job): boolean {
  return body.length > 0 || !bodiless.has(method);
}

const bodiless = new Set(['GET', 'HEAD']);
const closedByPeer = new Set(['ECONNRESET', 'EPIPE']);
