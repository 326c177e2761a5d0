import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { unlessFull } from './errors.ts';
import { createPrivateFile } from './file.ts';
import { statements } from './statements.ts';

/**
 * Detects missing commits. A number that is increased once a second while there are commits is written to the spool and then to a
 * small file next to it. If the number in the spool is smaller, the spool lacks commits: its log was deleted, or its file was
 * emptied or replaced. A process that is killed between the two writes leaves the larger number in the spool.
 */
export class CommitCounter {
  /** The loss found at the start; empty if no commits are missing. */
  readonly loss: string;
  readonly #set: Database.Statement<[number]>;
  readonly #file: number;
  #number: number;

  constructor(db: Database.Database, path: string) {
    const counterPath = `${path}.count`;
    const inSpool = Number(db.prepare(statements.noted).pluck().get() ?? 0);
    const inFile = readNumber(counterPath);
    this.#set = db.prepare<[number]>(statements.note);
    createPrivateFile(counterPath);
    this.#file = openSync(counterPath, 'r+');
    this.#number = Math.max(inSpool, inFile);
    this.loss = inSpool < inFile ? lossText(path) : '';
    if (inSpool < inFile) unlessFull(() => this.#set.run(inFile)); // a loss is reported once
  }

  /** Called once a second, after commits. */
  increase(): void {
    this.#number += 1;
    unlessFull(() => {
      this.#set.run(this.#number);
      writeNumber(this.#file, this.#number);
    });
  }

  close(): void {
    closeSync(this.#file);
  }
}

function lossText(path: string): string {
  return `the spool at ${path} lacks its last commits: its log (${path}-wal) was deleted, or its file was emptied or replaced by an older one. Deliveries may be lost`;
}

function writeNumber(file: number, number: number): void {
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
