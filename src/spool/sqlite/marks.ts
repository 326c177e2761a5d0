import type Database from 'better-sqlite3';
import type { Mark } from '../../model/packet.ts';
import { statements, wholeTables } from './statements.ts';

/** The marks of the feeds. Of the many that a transaction brings for one node only the last is written. */
export interface Marks {
  set(mark: Mark): void;
  /** Writes what was set; before a commit. */
  write(): void;
  /** Forgets what was set: its transaction was undone. */
  forget(): void;
  all(): Mark[];
}

export function createMarks(db: Database.Database): Marks {
  const setMark = db.prepare<[string, string, string, string, number]>(statements.setMark);
  const read = db.prepare<[], Mark>(wholeTables.marks);
  const unwritten = new Map<string, Mark>();

  function write(): void {
    for (const { attachment, host, node, epoch, h } of unwritten.values()) setMark.run(attachment, host, node, epoch, h);
    unwritten.clear();
  }

  return {
    set: (mark) => {
      unwritten.set(`${mark.attachment}\n${mark.host}\n${mark.node}`, mark);
    },
    write,
    forget: () => unwritten.clear(),
    all: () => {
      write(); // what this transaction has brought so far counts
      return read.all();
    },
  };
}
