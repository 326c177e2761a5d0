/**
 * Shorter paths through Node's streams for a socket that undici uses. Both keep the contract of a stream; any other use takes the
 * usual path.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Dial } from './connection.ts';

/** Dials as `dial` does, for undici. */
export function withShortPaths(dial: Dial): Dial {
  return (onOpened) =>
    dial((...result) => {
      const [, socket] = result;
      if (socket !== undefined) withDirectReads(withJoinedWrites(socket));
      onOpened(...result);
    });
}

/**
 * Hands the received bytes to the listener of `readable` in the turn of the event loop in which they arrive, past the buffer of the
 * stream. Not for TLS, which may decrypt a record during a write of another socket: undici's parser cannot be entered twice.
 */
export function withDirectReads(socket: Socket): Socket {
  if (socket instanceof TLSSocket) return socket;
  const [read, push] = [socket.read.bind(socket), socket.push.bind(socket)];
  let arrived: Buffer | undefined;

  const take = (): Buffer | undefined => {
    const taken = arrived;
    arrived = undefined;
    return taken;
  };

  socket.read = (size?: number): Buffer | null => (size === undefined ? take() : undefined) ?? read(size);
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (!Buffer.isBuffer(chunk) || socket.readableLength > 0) return push(chunk, encoding);
    arrived = chunk;
    socket.emit('readable');
    const left = take();
    return left === undefined ? true : push(left);
  };
  return socket;
}

/** A longer body is not copied. */
const maxJoinedBytes = 16_384;

type Written = (error?: Error | null) => void;

/**
 * Joins the head and the body of a request to one write. undici writes both while the socket is corked, and `writev` of a text and
 * a buffer costs more than a copy of them.
 */
export function withJoinedWrites(socket: Socket): Socket {
  const [write, cork, uncork] = [socket.write.bind(socket), socket.cork.bind(socket), socket.uncork.bind(socket)];
  let isCorked = false;
  let head: string | undefined;

  const writeHead = (): void => {
    if (head !== undefined) write(head, 'latin1');
    head = undefined;
  };
  const writeBoth = (first: string, body: Uint8Array): boolean => {
    head = undefined;
    if (body.length > maxJoinedBytes) {
      cork();
      write(first, 'latin1');
      const isBelowLimit = write(body);
      uncork();
      return isBelowLimit;
    }
    const joined = Buffer.allocUnsafe(first.length + body.length);
    joined.write(first, 'latin1');
    joined.set(body, first.length);
    return write(joined);
  };

  socket.cork = (): void => {
    isCorked = true;
  };
  socket.uncork = (): void => {
    isCorked = false;
    writeHead();
  };
  socket.write = (chunk: string | Uint8Array, encoding?: BufferEncoding | Written, done?: Written): boolean => {
    if (isCorked && head === undefined && encoding === 'latin1' && done === undefined && typeof chunk === 'string') {
      head = chunk;
      return true;
    }
    if (head !== undefined && encoding === undefined && typeof chunk !== 'string') return writeBoth(head, chunk);
    writeHead();
    return typeof encoding === 'string' ? write(chunk, encoding, done) : write(chunk, encoding);
  };
  return socket;
}
