/** What the service thread sees of the history: searches and erasures, each in a thread of its own, and the span that it holds. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Clock, EpochMs } from '../../kit/clock.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { ErasedRecords, RecordErasure } from './erase.ts';
import type { HistoryPage, HistoryQuery } from './search.ts';
import { historyFolder, listSegments } from './segments.ts';
import type { HistoryTask } from './task.ts';

/** The span that is really held: it is shorter than `max_age` if `max_bytes` or the disk did not allow more. */
export interface HistorySpan {
  /** Time of the oldest record; null if there is none. */
  readonly since: EpochMs | null;
  readonly bytes: number;
}

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
  readonly #folder: string;
  readonly #run: RunTask;
  readonly #clock: HistoryOptions['clock'];
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  #span: { readonly value: HistorySpan; readonly at: number } | undefined;

  constructor(spoolPath: string, { clock, run = runInThread }: HistoryOptions) {
    this.#clock = clock;
    this.#folder = historyFolder(spoolPath);
    this.#run = run;
  }

  /** Throws HISTORY_BUSY if too many tasks wait. */
  async find(query: Omit<HistoryQuery, 'folder'>): Promise<HistoryPage> {
    return (await this.#inTurn({ kind: 'search', ...query, folder: this.#folder })) as HistoryPage; // the answer to a search
  }

  /** Erases the records of a user; the next call continues. Throws HISTORY_BUSY if too many tasks wait. */
  async erase(erasure: Omit<RecordErasure, 'folder'>): Promise<ErasedRecords> {
    return (await this.#inTurn({ kind: 'erase', ...erasure, folder: this.#folder })) as ErasedRecords; // the answer to an erasure
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
    if (this.#span === undefined || at - this.#span.at >= spanMs) this.#span = { value: this.#readSpan(), at };
    return this.#span.value;
  }

  #readSpan(): HistorySpan {
    const segments = listSegments(this.#folder);
    return { since: segments[0]?.number ?? null, bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0) };
  }
}

function runInThread(task: HistoryTask): Promise<ErasedRecords | HistoryPage> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(`./task.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url), {
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
