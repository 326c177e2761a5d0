import type { Worker } from 'node:worker_threads';
import { type ErrorCode, ServiceError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { Opened } from './sqlite/protocol.ts';

/** How opening the spool ended, or that it failed later. */
export type ThreadState =
  | ({ readonly kind: 'opened' } & Opened)
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

interface ThreadListener<Report> {
  onReport(report: Report): void;
  /** The thread ended without being closed. Called once, and only after it has opened the spool. */
  onFailed(error: ServiceError): void;
}

/** The thread that owns a spool's file or connection. Phases: opening → open → closing → ended; an error ends it in any phase. */
export class EngineThread<Message, Report extends { readonly kind: string }> {
  readonly #worker: Worker;
  readonly #listener: ThreadListener<Report>;
  readonly #opened = createDeferred<Opened>();
  readonly #ended = createDeferred<void>();
  #phase: 'closing' | 'ended' | 'open' | 'opening' = 'opening';

  constructor(worker: Worker, listener: ThreadListener<Report>) {
    this.#listener = listener;
    this.#worker = worker;
    worker.on('message', (message: Report | ThreadState) => this.#receive(message));
    worker.on('error', (cause) => {
      this.#end(new ServiceError('SPOOL_FAILED', `the spool's thread failed: ${cause.message}`, { cause }));
    });
    worker.on('exit', (code) => {
      this.#end(new ServiceError('SPOOL_FAILED', `the spool's thread ended by itself (code ${code})`));
      this.#ended.resolve();
    });
  }

  /** Rejects with the thread's error, with its code, if the spool cannot be opened. */
  get opened(): Promise<Opened> {
    return this.#opened.promise;
  }

  post(message: Message): void {
    this.#worker.postMessage(message);
  }

  /** Resolves when the spool is closed and the thread has ended. */
  async close(message: Message): Promise<void> {
    if (this.#phase === 'open') {
      this.#phase = 'closing';
      this.post(message);
    }
    await this.#ended.promise;
  }

  #receive(message: Report | ThreadState): void {
    if (!isState(message)) return this.#listener.onReport(message);
    if (message.kind === 'failed') return this.#end(new ServiceError(message.code, message.message));
    this.#phase = 'open';
    this.#opened.resolve(message);
  }

  #end(error: ServiceError): void {
    const before = this.#phase;
    this.#phase = 'ended';
    if (before === 'opening') this.#opened.reject(error);
    if (before === 'open') this.#listener.onFailed(error);
  }
}

function isState(message: ThreadState | { readonly kind: string }): message is ThreadState {
  return message.kind === 'opened' || message.kind === 'failed';
}
