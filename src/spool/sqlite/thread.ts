import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred } from '../../kit/lifecycle.ts';
import type { Committed, FromSpoolThread, Opening, ToSpoolThread } from './protocol.ts';

export type Opened = Extract<FromSpoolThread, { readonly kind: 'opened' }>;

/** The thread that owns the spool's file. */
export interface SpoolThread {
  readonly opened: Opened;
  post(message: ToSpoolThread): void;
  /** Resolves when the file is closed and the thread has ended. */
  close(): Promise<void>;
}

export interface ThreadEars {
  onCommitted(committed: Committed): void;
  /** It is gone, and not because it was closed. Called once, and only after it has opened. */
  onFailed(error: ServiceError): void;
  /** The file that the thread runs; the one beside this file where it is left out. */
  readonly entry: URL | undefined;
}

/** What a batch leaves behind is gone with the next: a third of Node's own size is enough, and memory that others can have. */
const youngGenerationMb = 16;

/** Starts the thread and waits until the spool is open. Throws what the thread could not do, with its code. */
export async function startSpoolThread(opening: Opening, { onCommitted, onFailed, entry }: ThreadEars): Promise<SpoolThread> {
  const worker = new Worker(entry ?? entryUrl(), {
    workerData: opening,
    name: 'spool',
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
  });
  const opened = createDeferred<Opened>();
  const ended = createDeferred<void>();
  let phase: 'closing' | 'ended' | 'open' | 'opening' = 'opening';

  worker.on('message', (message: FromSpoolThread) => {
    switch (message.kind) {
      case 'opened':
        phase = 'open';
        opened.resolve(message);
        break;
      case 'failed':
        end(new ServiceError(message.code, message.message));
        break;
      case 'committed':
        onCommitted(message);
        break;
      default:
        message satisfies never;
    }
  });
  worker.on('error', (cause) => end(new ServiceError('SPOOL_FAILED', `the spool's thread failed: ${cause.message}`, { cause })));
  worker.on('exit', (code) => {
    end(new ServiceError('SPOOL_FAILED', `the spool's thread ended by itself (code ${code})`));
    ended.resolve();
  });

  function end(error: ServiceError): void {
    const before = phase;
    phase = 'ended';
    if (before === 'opening') opened.reject(error);
    if (before === 'open') onFailed(error);
  }

  async function close(): Promise<void> {
    if (phase === 'open') {
      phase = 'closing';
      worker.postMessage({ kind: 'close' } satisfies ToSpoolThread);
    }
    await ended.promise;
  }

  return { opened: await opened.promise, post: (message) => worker.postMessage(message), close };
}

/** As .ts in a checkout and as .js in the build. */
function entryUrl(): URL {
  return new URL(`./spool.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
