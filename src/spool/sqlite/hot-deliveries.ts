import type Database from 'better-sqlite3';
import type { Row } from './protocol.ts';
import type { FactsRow } from './ready-queues.ts';
import { statements, wholeTables } from './statements.ts';

/** Facts about a hot delivery, and the size of its content. */
export type HotFactsRow = readonly [...facts: FactsRow, bytes: number];

/** Settled deliveries that are deleted together, at most. Fewer are deleted at each maintenance. */
const maxSettled = 512;
const maxSettledBytes = 1024 * 1024;

/**
 * The *hot* deliveries: claimed by the commit that stored them, and not changed since. Most deliveries are settled in this state, so
 * their table has no index, and the numbers of those that are settled are noted, one row per commit, until many of them can be
 * deleted in a few ranges. One that is retried, given up or released becomes a row of `deliveries`. Everything here runs inside a
 * transaction.
 */
export class HotDeliveries {
  readonly #db: Database.Database;
  readonly #insert: Database.Statement;
  readonly #note: Database.Statement<[string]>;
  readonly #toRow: Database.Statement<[number]>;
  readonly #remove: Database.Statement<[number, number]>;
  readonly #readClaims: Database.Statement<[], HotFactsRow>;
  readonly #readNotes: Database.Statement<[], string>;
  readonly #clearNotes: Database.Statement;
  /** Settled, noted on disk, and not deleted yet. */
  #settled: number[] = [];
  #settledBytes = 0;
  /** Settled in this transaction. */
  #unwritten: number[] = [];

  constructor(db: Database.Database) {
    this.#db = db;
    this.#insert = db.prepare(statements.insertHot);
    this.#note = db.prepare<[string]>(statements.noteSettled);
    this.#toRow = db.prepare<[number]>(statements.hotToRow);
    this.#remove = db.prepare<[number, number]>(statements.removeHot);
    this.#readClaims = db.prepare<[], HotFactsRow>(wholeTables.hotClaims).raw();
    this.#readNotes = db.prepare<[], string>(wholeTables.settled).pluck();
    this.#clearNotes = db.prepare(wholeTables.clearSettled);
  }

  /** Reads the settled numbers that are kept in memory; at the start and after a rollback. */
  load(): void {
    [this.#unwritten, this.#settledBytes] = [[], 0];
    this.#settled = this.#readNotes.all().flatMap((seqs) => JSON.parse(seqs) as number[]); // written by `write` alone
  }

  /** Whether settled deliveries are still on disk. */
  get hasSettled(): boolean {
    return this.#settled.length > 0;
  }

  claims(): readonly HotFactsRow[] {
    return this.#readClaims.all();
  }

  add(seq: number, row: Row): void {
    this.#insert.run(seq, ...row);
  }

  settle(seq: number, bytes: number): void {
    this.#unwritten.push(seq);
    this.#settledBytes += bytes;
  }

  /** Makes it a claimed row of `deliveries`. */
  toRow(seq: number): void {
    this.#toRow.run(seq);
    this.#remove.run(seq, seq);
  }

  /** Writes the settlements of this transaction; before its commit. */
  write(): void {
    if (this.#unwritten.length === 0) return;
    for (const seq of this.#unwritten) this.#settled.push(seq);
    if (this.#settled.length >= maxSettled || this.#settledBytes >= maxSettledBytes) this.deleteSettled();
    else this.#note.run(`[${this.#unwritten.join()}]`);
    this.#unwritten = [];
  }

  /** Deletes the settled deliveries; their bytes on disk are overwritten. */
  deleteSettled(): void {
    for (const [first, last] of runsOf(this.#settled)) this.#remove.run(first, last);
    this.#clearNotes.run();
    this.#settled = [];
    this.#settledBytes = 0;
  }

  /**
   * Makes all of them rows of `deliveries`: at the start, because an earlier process may have been killed, and at the end. One by
   * one, since they may fill most of the spool: each takes the space that the ones before it have left.
   */
  allToRows(): void {
    for (const [seq] of this.claims()) this.toRow(seq);
    for (const sql of [wholeTables.clearHot, wholeTables.clearSettled]) this.#db.exec(sql);
    this.#settled = [];
  }
}

/** The runs of consecutive numbers. */
function runsOf(seqs: readonly number[]): readonly (readonly [first: number, last: number])[] {
  const runs: [first: number, last: number][] = [];
  let run: [first: number, last: number] | undefined;
  for (const seq of Float64Array.from(seqs).sort()) {
    if (run !== undefined && seq === run[1] + 1) run[1] = seq;
    else {
      run = [seq, seq];
      runs.push(run);
    }
  }
  return runs;
}
