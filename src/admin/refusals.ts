import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { type ErrorCode, ServiceError, toError } from '../kit/errors.ts';

/** Response to a request that is not served. `code` is for programs and never changes, `message` is for people. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export function refuse(reply: FastifyReply, { status, code, message }: Refusal): FastifyReply {
  return reply.code(status).send({ code, message });
}

/** Response to a request that failed with an error. */
export function refusalOf(thrown: unknown): Refusal {
  const { message } = toError(thrown);
  if (thrown instanceof ServiceError) return { status: statuses[thrown.code] ?? 500, code: thrown.code, message };
  const status = statusIn(thrown);
  return { status, code: codes[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL'), message };
}

/** Errors of the caller, and conditions of the service that pass. */
const statuses: Partial<Record<ErrorCode, number>> = {
  BAD_CURSOR: 400,
  CONTENT_HIDDEN: 403,
  SPOOL_ENGINE_UNSUPPORTED: 501,
  SPOOL_FULL: 503,
  SPOOL_UNAVAILABLE: 503,
  HISTORY_BUSY: 503,
  TAIL_BUSY: 503,
  UNKNOWN_DEAD_LETTER: 404,
  UNKNOWN_EVENT: 404,
  UNKNOWN_HANDLER: 404,
  UNKNOWN_HOST: 404,
  UNKNOWN_POOL: 404,
  UNKNOWN_QUEUE: 404,
  WRONG_STATE: 400,
};

const codes: Readonly<Record<number, string>> = { 413: 'TOO_LARGE', 415: 'UNSUPPORTED_MEDIA_TYPE' };

/** Fastify's errors carry a status; all other errors are internal. */
function statusIn(thrown: unknown): number {
  const status = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

/** Refuses a request before Fastify gets it. */
export function refuseRequest(response: ServerResponse, message: string): void {
  const body = JSON.stringify({ code: 'BAD_REQUEST', message });
  response.writeHead(400, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.end(body);
}

/** Refuses bytes that are not HTTP, or a late request. There is no request object, so the response is written to the socket. */
export function refuseMalformed(socket: Socket, error: Error): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const late = 'code' in error && error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const message = late ? 'the request was not received in time' : 'not an HTTP/1.1 request';
  const body = JSON.stringify({ code: 'BAD_REQUEST', message });
  const status = late ? '408 Request Timeout' : '400 Bad Request';
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
  socket.end(`${head}\r\n\r\n${body}`);
  socket.destroySoon(); // the client may never close its side
}
