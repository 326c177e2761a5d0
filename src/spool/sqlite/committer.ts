import type Database from 'better-sqlite3';
import type { Clock, EpochMs } from '../../kit/clock.ts';
import { toError } from '../../kit/errors.ts';
import type { Depths } from './depths.ts';
import { type Answer, type Command, type Committed, isAppend, type Refused } from './protocol.ts';
import { isAboutOneValue, isOutOfRoom, type Room } from './room.ts';
import { statements } from './statements.ts';

/** What a batch is run with. */
export interface CommitterParts {
  readonly db: Database.Database;
  readonly clock: Clock;
  readonly room: Room;
  readonly depths: Depths;
  perform(command: Command, now: EpochMs): Answer;
  /** Writes what the commands left to the end of the transaction. */
  writeRest(): void;
  /** The transaction was undone: reads anew what memory knows of the disk. */
  reload(): void;
}

/** Why a transaction was undone: there is no room for it, or SQLite refuses what one of its commands would store. */
interface Failure {
  readonly kind: 'no-room' | 'refused';
  readonly message: string;
}

/**
 * Runs a batch of commands as one transaction. Where there is no room for it, appends are left undone, and the others are
 * tried one by one: removing what is settled is what makes room. Where SQLite refuses a value, each command runs in a
 * transaction of its own, so that one command costs no other.
 */
export function createCommitter({ db, clock, room, depths, perform, writeRest, reload }: CommitterParts) {
  const begin = db.prepare(statements.beginWrite);
  const commit = db.prepare(statements.commit);

  return (commands: readonly Command[], now: EpochMs): Omit<Committed, 'bytes' | 'oldest' | 'roomBytes'> => {
    const began = clock.monotonic();
    const answers: (Answer | undefined)[] = [];
    const refused: Refused[] = [];
    let undone: number[] = [];
    let closed = room.refusal();

    const { appends, others } = sorted(commands);
    const admitted = closed === '' ? others.concat(appends) : others;
    const failure = tryToRun(admitted);
    if (failure?.kind === 'no-room') close(failure);
    else if (failure !== undefined) runEach(admitted);
    if (closed !== '') undone = [...undone, ...appends.filter((index) => answers[index] === undefined && !isRefused(index))];
    return { answers, undone, refused, closed, depths: depths.takeChanged(), durationMs: clock.monotonic() - began };

    function close({ message }: Failure): void {
      closed = `no room for the spool: ${message}`;
      room.rewindLog();
      runEach(others);
    }

    /** In their order; behind an append without room no other is tried. */
    function runEach(indexes: readonly number[]): void {
      for (const index of indexes) {
        const command = commands[index];
        if (command !== undefined && isAppend(command) && closed !== '') continue;
        const failure = tryToRun([index]);
        if (failure?.kind === 'refused') refused.push([index, failure.message]);
        if (failure?.kind !== 'no-room') continue;
        if (closed === '') closed = `no room for the spool: ${failure.message}`;
        if (command !== undefined && !isAppend(command)) undone.push(index);
      }
    }

    function isRefused(index: number): boolean {
      return refused.some(([each]) => each === index);
    }

    /** Gives why nothing has happened. */
    function tryToRun(indexes: readonly number[]): Failure | undefined {
      if (indexes.length === 0) return undefined;
      try {
        begin.run();
        for (const index of indexes) {
          const command = commands[index];
          if (command !== undefined) answers[index] = perform(command, now);
        }
        writeRest();
        commit.run();
        return undefined;
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        const kind = isOutOfRoom(error) ? 'no-room' : isAboutOneValue(error) ? 'refused' : undefined;
        if (kind === undefined) throw error;
        reload();
        for (const index of indexes) answers[index] = undefined;
        return { kind, message: toError(error).message };
      }
    }
  };
}

/** Indexes of the commands; what makes room comes first. */
function sorted(commands: readonly Command[]): { readonly appends: number[]; readonly others: number[] } {
  const appends: number[] = [];
  const others: number[] = [];
  commands.forEach((command, index) => {
    (isAppend(command) ? appends : others).push(index);
  });
  return { appends, others };
}
