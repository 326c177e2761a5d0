/** Which errors of PostgreSQL, of its driver and of the connection may pass. */
import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { ServiceError } from '../../src/kit/errors.ts';
import { isRefusedValue, isTemporary } from '../../src/spool/postgres/server-errors.ts';

function withCode<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code });
}

const database = (code: string) => withCode(new DatabaseError('from the server', 0, 'error'), code);

test.each([
  ['a shutdown', database('57P01'), true],
  ['a full disk', database('53100'), true],
  ['a refused value', database('22P02'), false],
  ['a missing table', database('42P01'), false],
  ['a connection that the server has closed', withCode(new Error('write EPIPE'), 'EPIPE'), true],
  ['a connection that the system forbids', withCode(new Error('connect EPERM'), 'EPERM'), true],
  ['a connection that was reset', withCode(new Error('read ECONNRESET'), 'ECONNRESET'), true],
  ['several addresses that do not answer', new AggregateError([]), true],
  ['an end without notice', new Error('Connection terminated unexpectedly'), true],
  ['another owner', new ServiceError('SPOOL_LOCKED', ''), false],
  ['a text that is too long for JavaScript', new RangeError('Invalid string length'), false],
])('%s', (_, error, temporary) => {
  expect(isTemporary(error)).toBe(temporary);
  expect(isRefusedValue(error)).toBe('code' in error && error.code === '22P02');
});
