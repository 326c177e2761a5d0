import type Database from 'better-sqlite3';
import type { DeliveryId } from '../../model/delivery.ts';
import type { Found, Sought } from './protocol.ts';
import { statements } from './statements.ts';

/** Rows looked at in one transaction: a search goes through the whole spool, but holds nobody up. */
const windowRows = 2000;

type FoundRow = readonly [key: number, id: DeliveryId, host: string, sender: string, receiver: string];

/** Finds rows by what no index is for, a window at a time: it is rare, and every append would pay. */
export interface Finder {
  find(table: 'dead' | 'owed', sought: Sought, after: number): Found;
}

export function createFinder(db: Database.Database): Finder {
  const windows = {
    dead: db.prepare<[number, number], FoundRow>(statements.deadWindow).raw(),
    owed: db.prepare<[number, number], FoundRow>(statements.owedWindow).raw(),
  };

  return {
    find: (table, sought, after) => {
      const rows = windows[table].all(after, windowRows);
      const ids = rows.filter((row) => isMeant(row, sought)).map(([, id]) => id);
      return { ids, more: rows.length === windowRows ? rows.at(-1)?.[0] : undefined };
    },
  };
}

function isMeant([, id, host, sender, receiver]: FoundRow, sought: Sought): boolean {
  switch (sought.kind) {
    case 'descendants':
      return id.startsWith(`${sought.of}.`);
    case 'person':
      return host === sought.host && (sender === sought.bareJid || receiver === sought.bareJid);
    default:
      return sought satisfies never;
  }
}
