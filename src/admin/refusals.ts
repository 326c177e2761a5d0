import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

/** How every request that is not served is answered. `code` is for programs and never changes, `message` is for people. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export function refuse(reply: FastifyReply, { status, code, message }: Refusal): FastifyReply {
  return reply.code(status).send({ code, message });
}

/** What could not even be parsed as HTTP never becomes a request, so its answer is written by hand. */
export function refuseMalformed(socket: Pick<Socket, 'destroy' | 'end' | 'writable'>): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ code: 'BAD_REQUEST', message: 'what came was no HTTP/1.1 request' });
  const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
  socket.end(`${head}\r\n\r\n${body}`);
}
