import type { Socket } from 'node:net';
import type { Connection } from './connection.ts';
import type { Exchange } from './exchange.ts';

/** One connection at a time and the one request on it, whatever client speaks over it. */
export interface Worker {
  readonly connection: Connection;
  /** Carries the exchange through its phases and never throws. */
  carry(exchange: Exchange, carriage: Carriage): void;
  /** Closes the connection. Nothing is under way any more. */
  close(): Promise<void>;
}

export interface Carriage {
  /** Names and values, flat. */
  readonly headers: string[];
  /** The worker can take another; that can be after the exchange has concluded. */
  readonly free: () => void;
  /**
   * The request belongs to the connection that stands. This is called in place of `free` where it had died before a byte
   * of an answer. Undefined: such a request is sent once more on a fresh connection.
   */
  readonly onStale?: (error: Error) => void;
}

/**
 * Gives the connection that the worker's next request goes over, a fresh one where none stands. Undefined: there is none,
 * and the exchange has concluded.
 */
export function connectAhead({ connection }: Worker, exchange: Exchange): Promise<Socket | undefined> {
  if (exchange.concluded) return Promise.resolve(undefined);
  const standing = connection.keep();
  if (standing !== undefined) return Promise.resolve(standing);

  exchange.begin(() => connection.drop(new Error('given up')));
  return new Promise((resolve) => {
    connection.prepare((error, socket) => {
      if (error !== undefined) exchange.failed(error);
      resolve(exchange.concluded ? undefined : socket);
    });
  });
}

/**
 * Carries the exchange over the connection that stands, and over no other. Resolves when the wire is done with it: with
 * an error where the connection had died before a byte of an answer, so that the exchange has not concluded.
 */
export function sendOver(worker: Worker, exchange: Exchange, headers: string[]): Promise<Error | undefined> {
  return new Promise((resolve) => {
    worker.carry(exchange, { headers, free: () => resolve(undefined), onStale: resolve });
  });
}
