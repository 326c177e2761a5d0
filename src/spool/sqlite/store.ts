import { chmodSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Clock, type EpochMs, systemClock } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createCommitter } from './committer.ts';
import { createDepths, depthOf } from './depths.ts';
import { damageText } from './failure.ts';
import { createFinder } from './finder.ts';
import { createGraveyard } from './graveyard.ts';
import { createHistories } from './histories.ts';
import { lockSpool, signIn } from './lock.ts';
import { createMarks } from './marks.ts';
import { createOwedDeliveries } from './owed.ts';
import { createPaused } from './paused.ts';
import { createPerformer } from './perform.ts';
import { createPrivate } from './place.ts';
import type { Command, Committed, Depth, Opening } from './protocol.ts';
import { createQueues } from './queues.ts';
import { createReplay } from './replay.ts';
import { busyTimeoutMs, createRoom } from './room.ts';
import { migrate, refuseForeign } from './schema.ts';
import { openTally } from './tally.ts';

/** The spool's file, held open by this process alone. Synchronous: lives in the spool's thread. */
export interface Store {
  readonly depths: readonly Depth[];
  readonly paused: readonly string[];
  readonly bytes: number;
  /** Why the last commits may be lost; empty if none are missing. */
  readonly loss: string;
  commit(commands: readonly Command[], round: { readonly beat: boolean; readonly now: number }): Committed;
  close(): void;
}

/** Throws SPOOL_LOCKED, SPOOL_TOO_NEW, SPOOL_OPEN_FAILED, or what SQLite throws. */
export function openStore(opening: Opening, { clock = systemClock, pid = process.pid }: { clock?: Clock; pid?: number } = {}): Store {
  const lock = lockSpool(opening.path);
  try {
    return openLocked(opening, { lock, clock, pid });
  } catch (error) {
    lock.close();
    throw error;
  }
}

function openLocked(opening: Opening, { lock, clock, pid }: { lock: Database.Database; clock: Clock; pid: number }): Store {
  refuseForeign(opening.path);
  createPrivate(opening.path);
  chmodSync(opening.path, 0o600);
  const db = new Database(opening.path, { timeout: busyTimeoutMs });
  try {
    setUp(db);
    if (opening.check) refuseDamaged(db, opening.path);
    migrate(db);
    signIn(db, pid);
    return createStore(db, { opening, lock, clock });
  } catch (error) {
    db.close();
    throw error;
  }
}

function refuseDamaged(db: Database.Database, path: string): void {
  const found = db.prepare<[], string>('PRAGMA quick_check(1)').pluck().get();
  if (found !== undefined && found !== 'ok')
    throw new ServiceError('SPOOL_DAMAGED', `cannot use the spool at ${path}: ${damageText(found)}`);
}

/** So many empty pages stay in an idle spool: the next burst needs them. Short of room, none stays. */
const sparePages = 4096;

/** What is settled is overwritten on disk (`secure_delete`): a spool holds what people wrote to each other. */
function setUp(db: Database.Database): void {
  db.pragma('auto_vacuum = INCREMENTAL'); // before the first table, or it takes no effect
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('secure_delete = ON');
  db.pragma('wal_autocheckpoint = 2000');
  db.pragma('journal_size_limit = 16777216');
  db.pragma('cache_size = -32000');
  db.pragma('temp_store = MEMORY');
}

const unasked = { oldest: undefined, roomBytes: undefined };

function createStore(db: Database.Database, { opening, lock, clock }: { opening: Opening; lock: Database.Database; clock: Clock }): Store {
  const depths = createDepths(db);
  const owed = createOwedDeliveries(db, depths);
  const histories = createHistories(db);
  const dead = createGraveyard(db, { depths, histories });
  const paused = createPaused(db);
  const room = createRoom(db, opening);
  const marks = createMarks(db);
  const tally = openTally(db, opening.path);
  let isUncounted = false;
  const perform = createPerformer({
    ...{ owed, dead, histories, marks, paused },
    finder: createFinder(db),
    queues: createQueues({ owed, dead, histories }),
    replay: createReplay(db, { owed, dead, histories }),
  });
  const writeRest = () => {
    depths.write();
    marks.write();
  };
  const reload = () => {
    depths.load();
    marks.forget();
    owed.load();
  };
  const run = createCommitter({ db, clock, room, depths, perform, writeRest, reload });

  depths.forgetEmpty();
  owed.freeClaims();
  reload();

  function oldest(): Record<string, number> {
    const pools = new Set(depths.all().flatMap(({ pool, waiting }) => (waiting > 0 ? [pool] : [])));
    const known = Array.from(pools, (pool) => [pool, owed.oldest(pool)] as const);
    return Object.fromEntries(known.filter((each): each is readonly [string, EpochMs] => each[1] !== undefined));
  }

  /** While intake is closed, the reason mentions dead letters, because an operator can remove them. */
  function withRemedy(closed: string): string {
    const dead = closed === '' ? 0 : depths.all().reduce((sum, queue) => sum + queue.dead, 0);
    return dead === 0 ? closed : `${closed}; ${dead} dead letters occupy part of it; replay or purge them`;
  }

  return {
    depths: depths.all().map(depthOf),
    paused: paused.all(),
    bytes: room.bytes(),
    loss: tally.loss,
    commit: (commands, { beat, now }) => {
      const committed = run(commands, now);
      isUncounted ||= commands.length > 0;
      if (beat && isUncounted) {
        tally.note();
        isUncounted = false;
      }
      if (beat) owed.look();
      if (beat && committed.closed !== '') room.tidy(0);
      else if (beat && commands.length === 0) room.tidy(sparePages);
      const closed = withRemedy(committed.closed);
      return { ...committed, closed, bytes: room.bytes(), ...(beat ? { oldest: oldest(), roomBytes: room.left() } : unasked) };
    },
    close: () => {
      tally.close();
      db.close();
      lock.close();
    },
  };
}
