import { expect, test } from 'vitest';
import { failureOf } from '../../src/spool/sqlite/errors.ts';

test('if SQLite was not built, the message says how to build it and omits the search paths', () => {
  const error = new Error('Could not locate the bindings file. Tried:\n → /srv/node_modules/better-sqlite3/build/better_sqlite3.node');
  expect(failureOf(error, 'SPOOL_OPEN_FAILED', 'cannot open the spool at /var/spool.sqlite')).toEqual({
    kind: 'failed',
    code: 'SPOOL_OPEN_FAILED',
    message:
      'cannot open the spool at /var/spool.sqlite: SQLite was not built when the package was installed. Build it: npm rebuild better-sqlite3',
  });
});

test('any other error keeps its message', () => {
  expect(failureOf(new Error('file is not a database'), 'SPOOL_FAILED', 'the spool failed')).toEqual({
    kind: 'failed',
    code: 'SPOOL_FAILED',
    message: 'the spool failed: file is not a database',
  });
});
