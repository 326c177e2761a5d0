import { type Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import type { Socket } from 'node:net';
import type { Got, Method, Request, RequestFunction } from 'got';
import type { Body } from '../src/model/delivery.ts';
import { CONNECTION_GONE, type Connection } from './connection.ts';
import type { Job } from './contract.ts';
import type { Exchange } from './exchange.ts';
import { codeOf, protocolChanged } from './failure.ts';
import type { Carriage } from './worker.ts';

export interface GotCall extends Carriage {
  readonly client: Got;
  readonly origin: string;
  /** Gives the connection. */
  readonly agent: Agent;
  readonly connection: Connection;
}

/** Puts one exchange on the wire as a got stream: deadlines and the size cap are the exchange's, got has none. */
export function startGotCall(exchange: Exchange, call: GotCall): void {
  const { job } = exchange;
  const wire = createWire(exchange, call.connection, (socket) => {
    socket.destroy();
    stream.destroy(protocolChanged());
  });
  const stream = call.client.stream(call.origin, {
    ...(hasBody(job) ? { body: bytesOf(job.body), allowGetBody: true } : {}), // a GET that may have a body waits for one
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
  stream.once('end', () => end(call.free));
  stream.once('close', () => end(call.free));
  stream.once('error', (error) => {
    end(() => {
      if (call.onStale !== undefined && !exchange.concluded && wire.wasStale(error)) return call.onStale(error);
      const answer = wire.wholeAnswer();
      if (answer === undefined) exchange.failed(error);
      else conclude(exchange, answer);
      call.free();
    });
  });
}

function follow(stream: Request, exchange: Exchange): void {
  stream.once('response', ({ statusCode, statusMessage, headers, rawHeaders }) => {
    if (statusCode === 101) return;
    exchange.keeper?.head(statusMessage ?? '', rawHeaders);
    exchange.answered(statusCode, headers['retry-after']);
  });
  stream.on('data', (chunk: Buffer) => exchange.received(chunk));
  stream.once('end', () => exchange.ended());
}

/** Bytes behind a whole answer are an error of the connection, not of the answer: its status counts. */
function conclude(exchange: Exchange, { statusCode = 0, statusMessage = '', headers, rawHeaders }: IncomingMessage): void {
  exchange.keeper?.head(statusMessage, rawHeaders);
  exchange.answered(statusCode, headers['retry-after']);
  exchange.ended();
}

/**
 * got lower-cases header names, and URL parsing rewrites paths: both go to Node's request as they were frozen. TLS is the
 * connection's, which stands already, so that what is spoken over it is plain HTTP here.
 */
function exactRequest({ job }: Exchange, { agent, headers, origin }: GotCall, watch: (request: ClientRequest) => void): RequestFunction {
  const { host } = new URL(origin);
  return (_url, options) => {
    const length = hasBody(job) ? ['content-length', String(Buffer.byteLength(job.body))] : [];
    const request = requestHttp({ ...options, agent, protocol: 'http:', headers: ['host', host, ...headers, ...length], path: job.path });
    watch(request);
    return request;
  };
}

/**
 * Sees the connection under the request: when it is given, and whether it was used before and gave nothing back. After a
 * 101 Node leaves it to the listener of `upgrade`, or takes it for the final response: both are `onChanged`.
 */
function createWire(exchange: Exchange, connection: Connection, onChanged: (socket: Socket) => void) {
  let request: ClientRequest | undefined;
  let answer: IncomingMessage | undefined;
  let bytesBefore = 0;

  return {
    watch: (started: ClientRequest): void => {
      request = started;
      started.once('socket', (socket) => {
        bytesBefore = socket.bytesRead;
        connection.carried += 1;
        exchange.sent();
      });
      started.once('upgrade', (_answer, socket) => onChanged(socket));
      started.on('information', ({ rawHeaders }) => exchange.informed(rawHeaders));
      started.once('response', (begun) => {
        if (begun.statusCode === 101) onChanged(begun.socket);
        else answer = begun;
      });
    },
    /** The answer, if all of it came. */
    wholeAnswer: (): IncomingMessage | undefined => (answer?.complete === true ? answer : undefined),
    wasStale: (error: Error): boolean => {
      const code = codeOf(error);
      const untouched = connection.carried > 1 && request?.socket?.bytesRead === bytesBefore;
      return code === CONNECTION_GONE || (untouched && closedByPeer.has(code));
    },
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
