import type Database from 'better-sqlite3';
import type { Clock, EpochMs } from '../../kit/clock.ts';
import { toError } from '../../kit/errors.ts';
import type { Depths } from './depths.ts';
import { type Answer, type Command, type Committed, isAppend } from './protocol.ts';
import { isOutOfRoom, type Room } from './room.ts';
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

/**
 * Runs a batch of commands as one transaction. Where there is no room for it, appends are left undone, and the others are
 * tried one by one: removing what is settled is what makes room.
 */
export function createCommitter({ db, clock, room, depths, perform, writeRest, reload }: CommitterParts) {
  const begin = db.prepare(statements.beginWrite);
  const commit = db.prepare(statements.commit);

  return (commands: readonly Command[], now: EpochMs): Omit<Committed, 'bytes' | 'oldest' | 'roomBytes'> => {
    const began = clock.monotonic();
    const answers: (Answer | undefined)[] = [];
    let undone: number[] = [];
    let closed = room.refusal();

    const { appends, others } = sorted(commands);
    const admitted = closed === '' ? others.concat(appends) : others;
    const failure = tryToRun(admitted);
    if (failure !== undefined) {
      closed = `no room for the spool: ${failure.message}`;
      room.rewindLog();
      undone = others.filter((index) => tryToRun([index]) !== undefined);
    }
    if (closed !== '') undone = [...undone, ...appends];
    return { answers, undone, closed, depths: depths.takeChanged(), durationMs: clock.monotonic() - began };

    /** Gives what went wrong when there is no room; then nothing has happened. */
    function tryToRun(indexes: readonly number[]): Error | undefined {
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
        if (!isOutOfRoom(error)) throw error;
        reload();
        return toError(error);
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
