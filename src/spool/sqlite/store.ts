import { chmodSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Clock, type EpochMs, systemClock } from '../../kit/clock.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import { CommandRunner, type OpenOperator } from './command-runner.ts';
import { CommitCounter } from './commit-loss.ts';
import { DeadLetters } from './dead-letters.ts';
import { PendingDeliveries } from './deliveries.ts';
import { busyTimeoutMs, DiskSpace, type Space, unlimitedSpace } from './disk-space.ts';
import { damageText, isOutOfSpace, isRefusedValue } from './errors.ts';
import { createPrivateFile, lockSpool, writeHolder } from './file.ts';
import { type Answer, type Command, type Committed, isAppend, type Opened, type Opening, type RefusedCommand } from './protocol.ts';
import { migrate, refuseForeign } from './schema.ts';
import { AttemptHistories, Depths, depthRowOf, Marks, PausedPools } from './side-tables.ts';
import { statements } from './statements.ts';

/** Opens the spool's file for this process alone. Throws SPOOL_LOCKED, SPOOL_TOO_NEW, SPOOL_OPEN_FAILED, or SQLite's error. */
export function openStore(opening: Opening, openOperator: OpenOperator, clock: Clock = systemClock): Store {
  const lock = lockSpool(opening.path);
  try {
    return openLocked(opening, { lock, clock, openOperator });
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Opens an empty spool in memory, with neither file nor lock. */
export function openMemoryStore(clock: Clock, openOperator: OpenOperator): Store {
  const db = new Database(':memory:');
  migrate(db);
  return new Store({ db, clock, openOperator, space: unlimitedSpace });
}

function openLocked(opening: Opening, parts: Pick<StoreParts, 'clock' | 'lock' | 'openOperator'>): Store {
  const { path } = opening;
  refuseForeign(path);
  createPrivateFile(path);
  chmodSync(path, 0o600);
  const db = new Database(path, { timeout: busyTimeoutMs });
  try {
    setPragmas(db);
    if (opening.check) refuseDamaged(db, path);
    migrate(db);
    writeHolder(db, process.pid);
    return new Store({ ...parts, db, space: new DiskSpace(db, opening), commitCounter: new CommitCounter(db, path) });
  } catch (error) {
    db.close();
    throw error;
  }
}

/** `secure_delete` overwrites settled rows on disk, because a spool holds private messages. */
function setPragmas(db: Database.Database): void {
  db.pragma('auto_vacuum = INCREMENTAL'); // before the first table, or it takes no effect
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('secure_delete = ON');
  db.pragma('wal_autocheckpoint = 2000');
  db.pragma('journal_size_limit = 16777216');
  db.pragma('cache_size = -8000'); // KiB; with 32 000 a backlog of a million was delivered no faster
  db.pragma('temp_store = MEMORY');
}

function refuseDamaged(db: Database.Database, path: string): void {
  const found = db.prepare<[], string>('PRAGMA quick_check(1)').pluck().get();
  if (found !== undefined && found !== 'ok')
    throw new ServiceError('SPOOL_DAMAGED', `cannot use the spool at ${path}: ${damageText(found)}`);
}

/**
 * How often the log is emptied while commits never pause, ms: it holds the bodies of deliveries that were settled since. A body is
 * gone from the disk within 15 s after its settlement.
 */
const emptyLogEveryMs = 10_000;

/** Settlements of a batch that may fail for lack of space, because all claims are read again after each. */
const maxWithoutSpace = 16;

/** Empty pages that stay in an idle spool for the next burst. While space is short, none stays. */
const sparePages = 4096;

interface StoreParts {
  readonly db: Database.Database;
  readonly clock: Clock;
  readonly openOperator: OpenOperator;
  readonly space: Space;
  readonly commitCounter?: CommitCounter;
  readonly lock?: Database.Database;
}

/** Result of a batch, filled in while it runs. */
interface Batch {
  readonly commands: readonly Command[];
  readonly now: EpochMs;
  readonly answers: (Answer | undefined)[];
  readonly undone: number[];
  readonly refused: RefusedCommand[];
  closed: string;
}

/** Why a transaction was rolled back: no space, or a value of one of its commands that SQLite refuses. */
interface Failure {
  readonly kind: 'no-space' | 'refused';
  readonly message: string;
}

/**
 * The open spool. Its calls block, so it lives in the spool thread. A batch of commands is one transaction. If there is no space
 * for it, appends are left undone and the other commands are tried one by one, because removing settled rows frees space. If
 * SQLite refuses a value, each command runs in a transaction of its own, so that one command does not affect the others.
 */
export class Store {
  /** State when it was opened. */
  readonly opened: Opened;
  readonly #parts: StoreParts;
  readonly #space: Space;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #depths: Depths;
  readonly #pending: PendingDeliveries;
  readonly #marks: Marks;
  readonly #runner: CommandRunner;
  #isUncounted = false;
  #emptyLogAt = 0;

  constructor(parts: StoreParts) {
    const { db, space, commitCounter } = parts;
    const [depths, histories, marks, paused] = [new Depths(db), new AttemptHistories(db), new Marks(db), new PausedPools(db)];
    const pending = new PendingDeliveries(db, depths);
    this.#parts = parts;
    this.#space = space;
    this.#begin = db.prepare(statements.beginWrite);
    this.#commit = db.prepare(statements.commit);
    this.#depths = depths;
    this.#pending = pending;
    this.#marks = marks;
    const tables = { pending, dead: new DeadLetters(db, { depths, histories }), depths, histories, marks, paused };
    this.#runner = new CommandRunner(tables, parts.openOperator(db, tables));
    depths.forgetEmpty();
    pending.freeClaims();
    this.#load();
    this.opened = { depths: depths.all().map(depthRowOf), paused: paused.all(), bytes: space.bytes(), loss: commitCounter?.loss ?? '' };
  }

  /** Runs a batch. `maintain` also measures and shrinks the file, and reports sizes and the age of the oldest deliveries. */
  commit(commands: readonly Command[], { maintain, now }: { readonly maintain: boolean; readonly now: EpochMs }): Committed {
    const began = this.#parts.clock.monotonic();
    const batch = this.#runBatch(commands, now, this.#space.refusal(maintain));
    const { answers, undone, refused } = batch;
    const depths = this.#depths.takeChanged();
    const durationMs = this.#parts.clock.monotonic() - began;
    this.#isUncounted ||= commands.length > 0;
    if (maintain) this.#maintain(batch, began);
    const report = maintain ? { oldest: this.oldest(), bytes: this.#space.bytes(), intakeBytes: this.#space.intakeBytes() } : notRequested;
    return { answers, undone, refused, depths, durationMs, closed: this.#withRemedy(batch.closed), ...report };
  }

  close(): void {
    this.#transact(() => this.#pending.hot.allToRows());
    this.#parts.commitCounter?.close();
    this.#parts.db.close();
    this.#parts.lock?.close();
  }

  #load(): void {
    this.#depths.load();
    this.#marks.forget();
    this.#pending.load();
  }

  #runBatch(commands: readonly Command[], now: EpochMs, closed: string): Batch {
    const batch: Batch = { commands, now, answers: [], undone: [], refused: [], closed };
    const { appends, others } = partition(commands);
    const admitted = batch.closed === '' ? others.concat(appends) : others; // commands that free space go first
    const failure = this.#tryToRun(batch, admitted);
    if (failure?.kind === 'no-space') {
      batch.closed = noSpace(failure);
      this.#space.rewindLog();
      this.#runEach(batch, others);
    } else if (failure !== undefined) this.#runEach(batch, admitted);
    if (batch.closed !== '') batch.undone.push(...appends.filter((index) => isUndone(batch, index)));
    return batch;
  }

  /**
   * Runs the commands one by one. After an append that found no space, other appends are not tried, and after a settlement that was
   * not done, the others of its lane: a crash must repeat the deliveries of a lane in their order. The next batch begins with those
   * that were not tried for another reason, because those that failed may need more space.
   */
  #runEach(batch: Batch, indexes: readonly number[]): void {
    const heldLanes = new Set<string>();
    const held: number[] = [];
    let withoutSpace = 0;
    for (const index of this.#inOrderOfLanes(batch, indexes)) {
      const command = batch.commands[index];
      if (command === undefined || (isAppend(command) && batch.closed !== '')) continue;
      const lane = this.#laneOf(command);
      if (heldLanes.has(lane)) held.push(index);
      else if (withoutSpace === maxWithoutSpace) batch.undone.push(index);
      else {
        const failure = this.#tryToRun(batch, [index]);
        if (failure !== undefined && lane !== '') heldLanes.add(lane);
        if (failure?.kind === 'refused') batch.refused.push([index, failure.message]);
        if (failure?.kind !== 'no-space') continue;
        if (batch.closed === '') batch.closed = noSpace(failure);
        if (isAppend(command)) continue;
        withoutSpace += 1;
        held.push(index);
      }
    }
    batch.undone.push(...held);
  }

  /** The settlements of each lane in the order of the lane: one that is settled again after a refusal goes before later ones. */
  #inOrderOfLanes({ commands }: Batch, indexes: readonly number[]): readonly number[] {
    const lanes = indexes.map((index) => this.#laneOf(commands[index]));
    const byLane = new Map(lanes.map((lane): [string, number[]] => [lane, []]));
    for (const [at, lane] of lanes.entries()) if (lane !== '') byLane.get(lane)?.push(indexes[at] ?? 0);
    const seqOf = (index: number) => Number(commands[index]?.[1]);
    for (const ofLane of byLane.values()) ofLane.sort((one, other) => seqOf(one) - seqOf(other)).reverse();
    return indexes.map((index, at) => byLane.get(lanes[at] ?? '')?.pop() ?? index);
  }

  /** The lane of a settlement; empty if it has none, and for other commands. */
  #laneOf(command: Command | undefined): string {
    const isSettlement = command?.[0] === 'delivered' || command?.[0] === 'settle';
    return isSettlement ? (this.#pending.claimed(command[1])?.lane ?? '') : '';
  }

  /** Runs commands as one transaction; returns why it was rolled back. */
  #tryToRun({ commands, now, answers }: Batch, indexes: readonly number[]): Failure | undefined {
    if (indexes.length === 0) return undefined;
    const failure = this.#transact(() => {
      for (const index of indexes) {
        const command = commands[index];
        if (command !== undefined) answers[index] = this.#runner.run(command, now);
      }
    });
    if (failure !== undefined) for (const index of indexes) answers[index] = undefined;
    return failure;
  }

  #transact(work: () => void): Failure | undefined {
    const { db } = this.#parts;
    try {
      this.#begin.run();
      work();
      this.#pending.hot.write();
      this.#depths.write();
      this.#marks.write();
      this.#commit.run();
      return undefined;
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      const kind = isOutOfSpace(error) ? 'no-space' : isRefusedValue(error) ? 'refused' : undefined;
      if (kind === undefined) throw error;
      this.#load();
      return { kind, message: toError(error).message };
    }
  }

  #maintain({ commands, closed }: Batch, at: number): void {
    if (this.#isUncounted) this.#parts.commitCounter?.increase();
    this.#isUncounted = false;
    this.#pending.checkLanes();
    if (this.#pending.hot.hasSettled) this.#transact(() => this.#pending.hot.deleteSettled());
    if (closed !== '') this.#space.shrink(0);
    else if (commands.length === 0) this.#space.shrink(sparePages);
    else if (at >= this.#emptyLogAt) this.#space.emptyLog();
    else return;
    this.#emptyLogAt = at + emptyLogEveryMs;
  }

  /** When the oldest pending delivery of each pool was accepted. */
  oldest(): ReadonlyMap<string, EpochMs> {
    const pools = new Set(this.#depths.all().flatMap(({ pool, waiting }) => (waiting > 0 ? [pool] : [])));
    const known = Array.from(pools, (pool) => [pool, this.#pending.oldestAt(pool)] as const);
    return new Map(known.filter((each): each is readonly [string, EpochMs] => each[1] !== undefined));
  }

  /** While intake is closed, the reason mentions dead letters, because an operator can remove them. */
  #withRemedy(closed: string): string {
    const dead = closed === '' ? 0 : this.#depths.all().reduce((sum, queue) => sum + queue.dead, 0);
    return dead === 0 ? closed : `${closed}; ${dead} dead letters occupy part of it; replay or purge them`;
  }
}

const notRequested = { oldest: undefined, bytes: undefined, intakeBytes: undefined };

function noSpace({ message }: Failure): string {
  return `no space for the spool: ${message}`;
}

function isUndone({ answers, refused }: Batch, index: number): boolean {
  return answers[index] === undefined && !refused.some(([each]) => each === index);
}

/** The indexes of the commands. */
function partition(commands: readonly Command[]): { readonly appends: number[]; readonly others: number[] } {
  const appends: number[] = [];
  const others: number[] = [];
  commands.forEach((command, index) => {
    (isAppend(command) ? appends : others).push(index);
  });
  return { appends, others };
}
