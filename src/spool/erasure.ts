/** Erases what is stored about a user: waiting events, dead letters, records of the history, and what the files of the database still contain of them. */
import { setImmediate, setTimeout } from 'node:timers/promises';
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
  /** `next` of the previous call; undefined at the beginning. */
  readonly cursor: string | undefined;
  /** `held` counts only events accepted before this time. */
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
  /** Known at the end: deliveries that this process still holds after a wait. If it is 0, nothing is left; otherwise a further erasure is needed. */
  readonly held: number;
  /** Known at the end of an erasure; null before, and in a dry run. */
  readonly file: FileState | null;
  /** The cursor of the next call; undefined at the end. */
  readonly next: string | undefined;
}

/** Filled in while a call runs, so that it is known what a call that failed has erased. */
export type ErasureProgress = { -readonly [K in keyof ErasureReport]: ErasureReport[K] };

export function noProgress(): ErasureProgress {
  return { waiting: 0, deadLetters: 0, records: 0, withheld: 0, held: 0, file: null, next: undefined };
}

interface ErasureOptions {
  readonly spool: Pick<Spool, 'extend'>;
  readonly history: Pick<History, 'erase'>;
  /** Removes the withheld pushes of a user from memory; returns their number. */
  readonly forget: (jid: string) => number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly events: EventSink;
  /** Starts delivery of the ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
  /** The file is rewritten if its pages in use have at most this many bytes: no delivery can be stored meanwhile. */
  readonly rewriteBytes: number;
  /** Default: of the system. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

/** The largest file that is rewritten while the service runs: deliveries wait meanwhile. */
export const liveRewriteBytes = 16 * 1024 * 1024;

/** Time after which a call returns and leaves the rest to the next one, ms. */
const callMs = 2000;

/** How long an erasure waits for deliveries that this process holds, and between two looks at them, ms. */
const settledWithinMs = 30_000;
const pauseMs = 500;

/**
 * A round is `held`, `pending` and `dead`. If the process held nothing of the user at its beginning, and `pending` finds nothing that was
 * claimed since, then it has found all: a delivery that was settled before `pending` reached it is a dead letter or a record, which are
 * read later. Otherwise `settle` waits, and another round follows, so the history and the file are read once.
 */
const stages = ['held', 'pending', 'dead', 'settle', 'history', 'file'] as const;

/** Where an erasure continues. */
interface Place {
  readonly stage: (typeof stages)[number];
  /** Rows with a lower number, or segments of the history with a higher one, come next. */
  readonly at: number;
  /** Deliveries that the process has held in this round. */
  readonly held: number;
  /** Time spent in `settle`, ms. */
  readonly waitedMs: number;
}

/**
 * Works in short transactions, between which the spool is consistent. No state is kept between calls: an interrupted erasure is begun
 * again.
 */
export class Erasure {
  readonly #options: ErasureOptions;

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  /** The next part of an erasure. Throws BAD_CURSOR, and then nothing is erased. */
  async run(call: ErasureCall, report = noProgress()): Promise<ErasureReport> {
    const { clock, forget } = this.#options;
    const until = clock.monotonic() + callMs;
    let place: Place | undefined = placeOf(call.cursor);
    if (call.cursor === undefined && !call.dryRun) report.withheld += forget(call.jid);
    do place = await this.#continue(call, place, report);
    while (place !== undefined && clock.monotonic() < until);
    report.next = place && cursorOf(place);
    return report;
  }

  async #continue(call: ErasureCall, place: Place, report: ErasureProgress): Promise<Place | undefined> {
    switch (place.stage) {
      case 'held':
        return begin('pending', { ...place, held: await this.#held(call) });
      case 'pending':
      case 'dead':
        return await this.#eraseChunk(call, place, report);
      case 'settle':
        return await this.#settle(call, place);
      case 'history': {
        const { jid, dryRun } = call;
        const { count, more } = await this.#options.history.erase({ jid, dryRun, after: place.at, withinMs: callMs });
        report.records += count;
        return more === undefined ? begin('file', place) : { ...place, at: more };
      }
      case 'file':
        report.held = place.held;
        if (call.dryRun) return undefined;
        report.withheld += this.#options.forget(call.jid); // pushes that were withheld meanwhile
        report.file = await this.#clean();
        return undefined;
      default:
        return place.stage satisfies never;
    }
  }

  async #eraseChunk({ jid, dryRun, before }: ErasureCall, place: Place, report: ErasureProgress): Promise<Place> {
    const { events, wake } = this.#options;
    const table = place.stage === 'dead' ? 'dead' : 'pending';
    const chunk: ErasedChunk = await this.#ask({ kind: 'chunk', table, jid, dryRun, below: place.at, before });
    report[table === 'dead' ? 'deadLetters' : 'waiting'] += chunk.erased.length;
    if (!dryRun) {
      for (const queue of countByQueue(chunk.erased)) events.emit('spool.deleted', { ...queue, reason: 'erase' });
      wake(chunk.readyPools);
    }
    const reached = { ...place, held: Math.max(place.held, chunk.held) };
    if (chunk.more !== undefined) return { ...reached, at: chunk.more };
    if (table === 'pending') return begin('dead', reached);
    const isLastRound = dryRun || reached.held === 0 || reached.waitedMs >= settledWithinMs;
    return begin(isLastRound ? 'history' : 'settle', reached);
  }

  /** The last round follows although deliveries are still held, when the time is over. */
  async #settle(call: ErasureCall, place: Place): Promise<Place> {
    const { pause = setTimeout } = this.#options;
    await pause(pauseMs);
    const waited = { ...place, waitedMs: place.waitedMs + pauseMs };
    return waited.waitedMs < settledWithinMs && (await this.#held(call)) > 0 ? waited : begin('held', waited);
  }

  #held({ jid, before }: ErasureCall): Promise<number> {
    return this.#ask({ kind: 'held', jid, before });
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

function begin(stage: Place['stage'], { held, waitedMs }: Pick<Place, 'held' | 'waitedMs'>): Place {
  return { stage, at: stage === 'pending' || stage === 'dead' ? Number.MAX_SAFE_INTEGER : 0, held, waitedMs };
}

function cursorOf({ stage, at, held, waitedMs }: Place): string {
  return [stage, at, held, waitedMs].join(':');
}

function placeOf(cursor: string | undefined): Place {
  if (cursor === undefined) return begin('held', { held: 0, waitedMs: 0 });
  const [, name, at, held, waitedMs] = /^(\w+):(\d{1,16}):(\d{1,9}):(\d{1,9})$/.exec(cursor) ?? [];
  const stage = stages.find((each) => each === name);
  if (stage !== undefined) return { stage, at: Number(at), held: Number(held), waitedMs: Number(waitedMs) };
  throw new ServiceError('BAD_CURSOR', 'the cursor was not given by this service: begin the erasure again without it');
}
