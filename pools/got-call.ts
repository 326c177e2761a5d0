import { type ClientRequest, type Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { type Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import type { Got, Method, Request, RequestFunction } from 'got';
import type { Body, Job } from './contract.ts';
import type { Exchange } from './exchange.ts';
import { codeOf } from './failure.ts';

export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

export interface GotCall {
  readonly client: Got;
  readonly origin: string;
  /** Names and values, flat. */
  readonly headers: readonly string[];
  readonly agents: Agents;
  /** The worker is free again. */
  readonly onEnd: () => void;
  /** A connection that was used before failed without a byte of an answer. Undefined: that is a failure like any other. */
  readonly onStale: (() => void) | undefined;
}

/** Puts one exchange on the wire as a got stream: deadlines and the size cap are the exchange's, got has none. */
export function startGotCall(exchange: Exchange, call: GotCall): void {
  const { job } = exchange;
  const wire = createWire(exchange, (socket) => {
    socket.destroy();
    stream.destroy(Object.assign(new Error('the backend changed the protocol, unasked'), { code: 'ECONNRESET' }));
  });
  const stream = call.client.stream(call.origin, {
    ...(hasBody(job) ? { body: bytesOf(job.body) } : {}),
    agent: call.agents,
    method: job.method as Method, // any token is a method (RFC 9110 §9.1); got's type lists the usual ones
    request: exactRequest(exchange, call, wire.watch),
  });

  let ended = false;
  function end(next: () => void): void {
    if (ended) return;
    ended = true;
    next();
  }

  exchange.begin(() => stream.destroy());
  follow(stream, exchange);
  stream.once('end', () => end(call.onEnd));
  stream.once('close', () => end(call.onEnd));
  stream.once('error', (error) => {
    end(() => {
      if (call.onStale !== undefined && !exchange.concluded && wire.wasStale(error)) return call.onStale();
      const answer = wire.wholeAnswer();
      if (answer === undefined) exchange.failed(error);
      else conclude(exchange, answer);
      call.onEnd();
    });
  });
}

function follow(stream: Request, exchange: Exchange): void {
  stream.once('response', ({ statusCode, headers }) => exchange.answered(statusCode, headers['retry-after']));
  stream.on('data', (chunk: Buffer) => exchange.received(chunk));
  stream.once('end', () => exchange.ended());
}

/** Bytes behind a whole answer are an error of the connection, not of the answer: its status counts. */
function conclude(exchange: Exchange, { statusCode = 0, headers }: IncomingMessage): void {
  exchange.answered(statusCode, headers['retry-after']);
  exchange.ended();
}

/** got lower-cases header names, and URL parsing rewrites paths: both go to Node's request as they were frozen. */
function exactRequest({ job }: Exchange, call: GotCall, watch: (request: ClientRequest) => void): RequestFunction {
  const { host, protocol } = new URL(call.origin);
  return (url, options) => {
    const length = hasBody(job) ? ['content-length', String(Buffer.byteLength(job.body))] : [];
    const headers = ['host', host, ...call.headers, ...length];
    const exact = { ...options, headers, path: job.path };
    const request = protocol === 'https:' ? requestHttps(url, exact) : requestHttp(url, exact);
    watch(request);
    return request;
  };
}

/**
 * Sees the connection under the request: when it stands, and whether it was used before and gave nothing back. After a 101
 * Node leaves it to whoever listens, and that is `onChanged`.
 */
function createWire(exchange: Exchange, onChanged: (socket: Socket) => void) {
  let request: ClientRequest | undefined;
  let answer: IncomingMessage | undefined;
  let bytesBefore = 0;

  function onSocket(socket: Socket): void {
    bytesBefore = socket.bytesRead;
    if (request?.reusedSocket === true) exchange.sent();
    else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => exchange.sent());
  }

  return {
    watch: (started: ClientRequest): void => {
      request = started;
      started.once('socket', onSocket);
      started.once('upgrade', (_answer, socket) => onChanged(socket));
      started.once('response', (begun) => {
        answer = begun;
      });
    },
    /** The answer, if all of it came. */
    wholeAnswer: (): IncomingMessage | undefined => (answer?.complete === true ? answer : undefined),
    wasStale: (error: Error): boolean =>
      request?.reusedSocket === true && request.socket?.bytesRead === bytesBefore && closedByPeer.has(codeOf(error)),
  };
}

/** Never text: Node would send the headers in the encoding of a text that follows them, and those are Latin-1. */
function bytesOf(body: Body): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** Also an empty body is announced where the method expects one (RFC 9110 §8.6). */
function hasBody({ body, method }: Job): boolean {
  return body.length > 0 || !bodiless.has(method);
}

const bodiless = new Set(['GET', 'HEAD']);
const closedByPeer = new Set(['ECONNRESET', 'EPIPE']);
