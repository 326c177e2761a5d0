import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { createPrivate } from './place.ts';
import { unlessFull } from './room.ts';
import { statements } from './statements.ts';

/**
 * Detects missing commits. A number that grows once a second while there are commits is written to the spool and then to a small
 * file next to it. If the number in the spool is smaller, the spool lacks commits: its log was deleted, or its file was emptied or
 * replaced. A process that is killed between the two writes leaves the larger number in the spool.
 */
export interface Tally {
  /** The loss found at the start; empty if no commits are missing. */
  readonly loss: string;
  /** Counts on, after a commit. */
  note(): void;
  close(): void;
}

export function openTally(db: Database.Database, path: string): Tally {
  const besideIt = `${path}.count`;
  const inSpool = Number(db.prepare(statements.noted).pluck().get() ?? 0);
  const beside = readNumber(besideIt);
  const set = db.prepare<[number]>(statements.note);
  createPrivate(besideIt);
  const file = openSync(besideIt, 'r+');
  let number = Math.max(inSpool, beside);
  if (inSpool < beside) unlessFull(() => set.run(beside)); // a loss is reported once

  return {
    loss: inSpool < beside ? lossText(path) : '',
    note: () => {
      number += 1;
      unlessFull(() => {
        set.run(number);
        writeBeside(file, number);
      });
    },
    close: () => closeSync(file),
  };
}

function lossText(path: string): string {
  return `the spool at ${path} lacks its last commits: its log (${path}-wal) was deleted, or its file was emptied or replaced by an older one. Deliveries may be lost`;
}

function writeBeside(file: number, number: number): void {
  try {
    writeSync(file, String(number).padStart(16), 0);
  } catch {
    // a full disk: the smaller number stays, so a loss within the last second would not be detected
  }
}

/** 0 if there is no readable file. */
function readNumber(path: string): number {
  try {
    const number = Number(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(number) ? number : 0;
  } catch {
    return 0; // a spool of an older version, or a new one
  }
}
