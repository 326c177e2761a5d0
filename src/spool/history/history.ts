/** What the service thread sees of the history: searches and erasures, each in a thread of its own, and the span that it holds. */
import { Worker } from 'node:worker_threads';
import type { SpoolConfig } from '../../config/config.ts';
import type { Clock } from '../../kit/clock.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import { threadEntry } from '../../kit/thread-entry.ts';
import { openingOf } from '../postgres/protocol.ts';
import type { ErasedRecords, RecordErasure } from './erase.ts';
import type { HistorySpan } from './record.ts';
import type { HistoryPage, HistoryQuery } from './search.ts';
import { historyFolder, listSegments } from './segments.ts';
import type { HistoryPlace, HistoryTask } from './task.ts';

interface HistoryOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** For tests; by default a task has a thread of its own. */
  readonly run?: RunTask;
}

type RunTask = (task: HistoryTask) => Promise<ErasedRecords | HistoryPage>;

/** Age at which the span is read again, ms: it takes a system call for each segment, of which there may be thousands. */
const spanMs = 5000;

/** Maximum number of tasks, the running one included. */
const maxWaiting = 16;

export class History {
  readonly #place: HistoryPlace;
  readonly #run: RunTask;
  readonly #clock: HistoryOptions['clock'];
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  #span: { readonly value: HistorySpan; readonly at: number } | undefined;

  constructor({ path, postgres }: Pick<SpoolConfig, 'path' | 'postgres'>, { clock, run = runInThread }: HistoryOptions) {
    this.#clock = clock;
    this.#place = postgres === undefined ? { folder: historyFolder(path) } : { opening: openingOf(postgres) };
    this.#run = run;
  }

  /** Throws HISTORY_BUSY if too many tasks wait. */
  async find(query: HistoryQuery): Promise<HistoryPage> {
    return (await this.#inTurn({ kind: 'search', ...query, ...this.#place })) as HistoryPage; // the answer to a search
  }

  /** Erases the records of a user; the next call continues. Throws HISTORY_BUSY if too many tasks wait. */
  async erase(erasure: RecordErasure): Promise<ErasedRecords> {
    return (await this.#inTurn({ kind: 'erase', ...erasure, ...this.#place })) as ErasedRecords; // the answer to an erasure
  }

  /** One task after the other. */
  async #inTurn(task: HistoryTask): Promise<ErasedRecords | HistoryPage> {
    if (this.#waiting >= maxWaiting)
      throw new ServiceError('HISTORY_BUSY', 'too many searches and erasures of the history at a time: try again later');
    this.#waiting += 1;
    const running = this.#last.then(() => this.#run(task));
    this.#last = running.catch(() => undefined); // its caller gets the error
    try {
      return await running;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** As it was at most five seconds ago. */
  span(): HistorySpan {
    const at = this.#clock.monotonic();
    if ('folder' in this.#place && (this.#span === undefined || at - this.#span.at >= spanMs))
      this.#span = { value: readSpan(this.#place.folder), at };
    return this.#span?.value ?? { since: null, bytes: 0 };
  }

  /** Takes the span that the spool in PostgreSQL reports. */
  readonly note = (value: HistorySpan): void => {
    this.#span = { value, at: this.#clock.monotonic() };
  };
}

function readSpan(folder: string): HistorySpan {
  const segments = listSegments(folder);
  return { since: segments[0]?.number ?? null, bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function runInThread(task: HistoryTask): Promise<ErasedRecords | HistoryPage> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(threadEntry('./task.worker', import.meta.url), {
      workerData: task,
      name: 'history',
    });
    const failed = (cause: unknown) =>
      reject(
        new ServiceError(
          'HISTORY_FAILED',
          `cannot ${task.kind === 'erase' ? 'erase from' : 'search'} the history: ${toError(cause).message}`,
          { cause },
        ),
      );
    worker.once('message', resolve);
    worker.once('error', failed);
    worker.once('exit', (code) => failed(new Error(`its thread ended by itself (code ${code})`))); // no effect after the answer
  });
}
