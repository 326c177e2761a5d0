import type Database from 'better-sqlite3';
import { isDamage } from '../sqlite/failure.ts';
import { type OpenFile, readFile } from './open-read-only.ts';

/** Something wrong with a spool's file. */
export interface Fault {
  readonly what: string;
  readonly remedy: string;
}

const restore =
  'stop the service, keep this file, and start on a backup (`spool backup`) or on an empty spool: what only this file owes is lost then';
const miscounted =
  'deliveries are not harmed, but what is shown and max_backlog are wrong: stop the service, run `spool backup`, and report it';
const stuck = 'what waits there is not sent: stop the service, run `spool backup`, and report it with the copy';

/** Rules that SQLite does not know of. Each statement gives one row for each break of its rule. */
const rules: readonly { readonly sql: string; readonly tell: (row: Row) => string; readonly remedy: string }[] = [
  {
    sql: `SELECT pool, handler, sum(waiting) AS waiting, sum(dead) AS dead, sum(told_waiting) AS told_waiting, sum(told_dead) AS told_dead
      FROM (
        SELECT pool, handler, 1 AS waiting, 0 AS dead, 0 AS told_waiting, 0 AS told_dead FROM deliveries
        UNION ALL SELECT pool, handler, 0, 1, 0, 0 FROM dead
        UNION ALL SELECT pool, handler, 0, 0, waiting, dead FROM depths
      ) GROUP BY pool, handler HAVING sum(waiting) <> sum(told_waiting) OR sum(dead) <> sum(told_dead)`,
    tell: (row) =>
      `queue ${row['pool']} / ${row['handler']} holds ${row['waiting']} deliveries and ${row['dead']} dead letters, its counters say ${row['told_waiting']} and ${row['told_dead']}`,
    remedy: miscounted,
  },
  {
    sql: `SELECT min(seq) AS seq, sum(state > 0) AS heads FROM deliveries WHERE lane IS NOT NULL GROUP BY lane
      HAVING sum(state > 0) <> 1 OR min(seq) <> min(iif(state > 0, seq, NULL))`,
    tell: (row) => `the lane of delivery ${row['seq']} has ${row['heads']} heads, where its first delivery should be the only one`,
    remedy: stuck,
  },
  {
    sql: 'SELECT count(*) AS count FROM deliveries WHERE (lane IS NULL AND state = 0) OR state NOT BETWEEN 0 AND 2 HAVING count(*) > 0',
    tell: (row) => `${row['count']} deliveries stand neither ready nor claimed nor behind another`,
    remedy: stuck,
  },
  {
    sql: `SELECT count(*) AS count FROM deliveries WHERE NOT json_valid(target) OR NOT json_valid(coalesce(context, '{}')) HAVING count(*) > 0`,
    tell: (row) => `${row['count']} deliveries have a target or a context that cannot be read`,
    remedy: restore,
  },
  {
    sql: `SELECT count(*) AS count FROM deliveries
      WHERE attempts + past <> (SELECT count(*) FROM attempts WHERE attempts.seq = deliveries.seq) HAVING count(*) > 0`,
    tell: (row) => `${row['count']} deliveries have another number of attempts than their records`,
    remedy: miscounted,
  },
  {
    sql: `SELECT count(*) AS count FROM attempts WHERE seq NOT IN (SELECT seq FROM deliveries)
      AND seq NOT IN (SELECT seq FROM dead WHERE seq IS NOT NULL) HAVING count(*) > 0`,
    tell: (row) => `${row['count']} records of attempts belong to nothing`,
    remedy: 'they only take room: run `spool backup`, and report it',
  },
];

type Row = Readonly<Record<string, number | string | null>>;

/** Goes through the whole file, at one moment of it; undefined where there is none. Throws as {@link readFile}. */
export function checkFile(path: string): readonly Fault[] | undefined {
  try {
    return readFile(path, (file) => {
      const check = file.db.transaction(() => {
        const damages = damage(file.db);
        return damages.length > 0 ? damages : breaks(file);
      });
      return check();
    });
  } catch (error) {
    if (error instanceof Error && isDamage(error.cause)) return [{ what: `the file is damaged: ${error.message}`, remedy: restore }];
    throw error;
  }
}

/** What SQLite itself finds: the first hundred. */
function damage(db: Database.Database): Fault[] {
  const told = db.prepare<[], string>('PRAGMA integrity_check(100)').pluck().all();
  return told.filter((line) => line !== 'ok').map((line) => ({ what: `the file is damaged: ${line}`, remedy: restore }));
}

/** An old file is brought up before it is used: its rules are those of its time. */
function breaks({ db, isOld }: OpenFile): Fault[] {
  if (isOld) return [];
  return rules.flatMap(({ sql, tell, remedy }) => {
    const rows = db.prepare<[], Row>(`SELECT * FROM (${sql}) LIMIT 100`).all();
    return rows.map((row) => ({ what: tell(row), remedy }));
  });
}
