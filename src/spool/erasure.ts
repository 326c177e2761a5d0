/** Erases what is stored about a user: events that wait, dead letters, records of the history, and texts that SQLite has kept of them. */
import { setImmediate } from 'node:timers/promises';
import type { Clock, EpochMs } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { ErasedChunk, ErasureRequest, FileState } from './erasure-requests.ts';
import type { History } from './history/history.ts';
import { countByQueue, type Spool } from './spool.ts';

export interface ErasureCall {
  /** Bare JID, prepared. */
  readonly jid: string;
  /** Only count. */
  readonly dryRun: boolean;
  /** `next` of the call before; undefined begins. */
  readonly cursor: string | undefined;
  /** Events that were accepted before this time are awaited, if the process holds them. */
  readonly before: EpochMs;
}

/** What one call has erased, or has counted. */
export interface ErasureReport {
  readonly waiting: number;
  readonly deadLetters: number;
  /** Records of the history. */
  readonly records: number;
  /** Withheld pushes in memory. */
  readonly withheld: number;
  /** Deliveries that this process holds, known at the end: they are erased by a further erasure, unless they are delivered before. */
  readonly held: number;
  /** Known at the end of an erasure; null before it, and if it only counts. */
  readonly file: FileState | null;
  /** The cursor of the next call; undefined at the end. */
  readonly next: string | undefined;
}

interface ErasureOptions {
  readonly spool: Pick<Spool, 'extend'>;
  readonly history: Pick<History, 'erase'>;
  /** Removes withheld pushes of a user from memory; returns their number. */
  readonly forget: (jid: string) => number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly events: EventSink;
  /** Starts delivery of the ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
  /** The file is rewritten if it has at most this many bytes, without free pages: no delivery is stored meanwhile. */
  readonly rewriteBytes: number;
}

/** The largest file that is rewritten while deliveries continue: they wait for about half a second. */
export const liveRewriteBytes = 16 * 1024 * 1024;

/** Time after which a call ends with what it has done so far, ms. */
const callMs = 2000;

const stages = ['pending', 'dead', 'history', 'file'] as const;

/** Where an erasure continues. `after`, `last`: numbers of rows, or of segments of the history. */
interface Place {
  readonly stage: (typeof stages)[number];
  readonly after: number;
  readonly last: number | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Works in short transactions, call after call. Nothing is kept about an erasure that is not finished: the spool is consistent between
 * any two transactions, and an erasure that was interrupted is begun again.
 */
export class Erasure {
  readonly #options: ErasureOptions;

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  /** The next part of an erasure. Throws BAD_CURSOR. */
  async run(call: ErasureCall): Promise<ErasureReport> {
    const { clock, forget } = this.#options;
    const until = clock.monotonic() + callMs;
    const report: Mutable<ErasureReport> = { waiting: 0, deadLetters: 0, records: 0, withheld: 0, held: 0, file: null, next: undefined };
    if (call.cursor === undefined && !call.dryRun) report.withheld = forget(call.jid);
    let place: Place | undefined = placeOf(call.cursor);
    do place = await this.#continue(call, place, report);
    while (place !== undefined && clock.monotonic() < until);
    report.next = place && cursorOf(place);
    return report;
  }

  async #continue(call: ErasureCall, place: Place, report: Mutable<ErasureReport>): Promise<Place | undefined> {
    switch (place.stage) {
      case 'pending':
      case 'dead': {
        const { erased, last, more } = await this.#eraseChunk(call, place, place.stage);
        report[place.stage === 'dead' ? 'deadLetters' : 'waiting'] += erased.length;
        return more === undefined ? begin(place.stage === 'dead' ? 'history' : 'dead') : { stage: place.stage, after: more, last };
      }
      case 'history': {
        const { count, more } = await this.#options.history.erase({
          jid: call.jid,
          dryRun: call.dryRun,
          after: place.after,
          withinMs: callMs,
        });
        report.records += count;
        return more === undefined ? begin('file') : { stage: 'history', after: more, last: undefined };
      }
      case 'file':
        report.held = await this.#ask({ kind: 'held', jid: call.jid, before: call.before });
        if (!call.dryRun) report.file = await this.#clean();
        return undefined;
      default:
        return place.stage satisfies never;
    }
  }

  async #eraseChunk({ jid, dryRun }: ErasureCall, { after, last }: Place, table: 'dead' | 'pending'): Promise<ErasedChunk> {
    const { events, wake } = this.#options;
    const chunk: ErasedChunk = await this.#ask({ kind: 'chunk', table, jid, dryRun, after, last });
    if (dryRun) return chunk;
    for (const queue of countByQueue(chunk.erased)) events.emit('spool.deleted', { ...queue, reason: 'erase' });
    wake(chunk.readyPools);
    return chunk;
  }

  /** The engine cleans the file after the transaction of the request, and answers a later request with the result. */
  async #clean(): Promise<FileState> {
    await this.#ask({ kind: 'clean', rewriteBytes: this.#options.rewriteBytes });
    let file: FileState | undefined;
    do {
      await setImmediate(); // the spool in memory cleans in this thread
      file = await this.#ask<FileState | undefined>({ kind: 'cleaned' });
    } while (file === undefined);
    return file;
  }

  async #ask<T>(request: WithoutName<ErasureRequest>): Promise<T> {
    const named: ErasureRequest = { extension: 'erasure', ...request };
    return (await this.#options.spool.extend(named)) as T; // `EventEraser` answers each kind with its type
  }
}

type WithoutName<R> = R extends ErasureRequest ? Omit<R, 'extension'> : never;

function begin(stage: Place['stage']): Place {
  return { stage, after: 0, last: undefined };
}

function cursorOf({ stage, after, last }: Place): string {
  return [stage, after, last ?? ''].join(':');
}

function placeOf(cursor: string | undefined): Place {
  if (cursor === undefined) return begin('pending');
  const [, name, after, last = ''] = /^(\w+):(\d{1,16}):(\d{0,16})$/.exec(cursor) ?? [];
  const stage = stages.find((each) => each === name);
  if (stage !== undefined) return { stage, after: Number(after), last: last === '' ? undefined : Number(last) };
  throw new ServiceError('BAD_CURSOR', 'the cursor is not one that this service has given: begin the erasure again without it');
}
