import type Database from 'better-sqlite3';
import type { DeliveryId } from '../../../pools/contract.ts';
import type { Found } from './protocol.ts';
import { statements } from './statements.ts';

/** Rows looked at in one transaction: a search goes through the whole spool, but holds nobody up. */
const windowRows = 2000;

type PersonRow = readonly [key: number, id: DeliveryId, host: string, sender: string, receiver: string];

/** Finds the rows of a person, a window at a time. There is no index for it: erasing is rare, and every append would pay. */
export interface People {
  find(table: 'dead' | 'owed', who: { readonly host: string; readonly bareJid: string }, after: number): Found;
}

export function createPeople(db: Database.Database): People {
  const windows = {
    dead: db.prepare<[number, number], PersonRow>(statements.deadWindow).raw(),
    owed: db.prepare<[number, number], PersonRow>(statements.owedWindow).raw(),
  };

  return {
    find: (table, { host, bareJid }, after) => {
      const rows = windows[table].all(after, windowRows);
      const named = rows.filter(([, , rowHost, sender, receiver]) => rowHost === host && (sender === bareJid || receiver === bareJid));
      return { ids: named.map(([, id]) => id), more: rows.length === windowRows ? rows.at(-1)?.[0] : undefined };
    },
  };
}
