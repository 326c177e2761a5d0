import { describe, expect, test } from 'vitest';
import { readAnswer } from '../../../src/delivery/ask/answer.ts';
import type { Outcome } from '../../../src/model/attempt.ts';

function answered(body: string, rest: Partial<Extract<Outcome, { kind: 'answered' }>> = {}): Outcome {
  return { kind: 'answered', status: 200, durationMs: 1, retryAfter: undefined, excerpt: '', truncated: false, body, ...rest };
}

const read = (fields: object) => readAnswer(answered(JSON.stringify({ actionCode: 0, ...fields })));
const nothingSaid = { errCode: null, errMsg: '', errDlt: '' };

test('the example of OpenIM allows the push, with receivers and offlinePushInfo', () => {
  const offlinePushInfo = {
    ...{ title: 'New Message', desc: 'You have a new message', ex: 'Extra push info' },
    ...{ iOSPushSound: 'default', iOSBadgeCount: true, signalInfo: 'Signal data' },
  };
  const fields = { errCode: 0, errMsg: 'Success', errDlt: '', nextCode: '', userIDList: ['user123', 'user456'], offlinePushInfo };
  expect(read(fields)).toEqual({ kind: 'allowed', userIDList: ['user123', 'user456'], offlinePushInfo });
});

describe('nextCode', () => {
  test.each([[1], ['1'], [' 1 ']])('%j withholds the push', (nextCode) => {
    expect(read({ nextCode, errCode: 5001, errMsg: 'An error message', errDlt: 'Detailed error information' })).toEqual({
      kind: 'withheld',
      ...{ errCode: 5001, errMsg: 'An error message', errDlt: 'Detailed error information' },
    });
  });

  test.each([[0], ['0'], [''], [2], [null], [undefined]])('%j allows it', (nextCode) => {
    expect(read({ nextCode })).toMatchObject({ kind: 'allowed' });
  });

  test('of another type makes the answer invalid', () => {
    expect(read({ nextCode: true })).toMatchObject({ kind: 'failed', reason: 'bad-answer' });
  });
});

describe('actionCode', () => {
  test.each([[0], ['0']])('%j means success', (actionCode) => {
    expect(read({ actionCode })).toMatchObject({ kind: 'allowed' });
  });

  test.each([[null], [undefined]])('%j is 0', (actionCode) => {
    expect(read({ actionCode, userIDList: ['a'] })).toMatchObject({ kind: 'allowed', userIDList: ['a'] });
    expect(read({ actionCode, nextCode: 1 })).toEqual({ kind: 'withheld', ...nothingSaid });
  });

  test.each([[1], ['1'], [-1], [5001]])('%j means that the server failed, unless nextCode refuses', (actionCode) => {
    expect(read({ actionCode, userIDList: ['a'], errCode: 5001, errMsg: 'broken' })).toEqual({
      ...{ kind: 'failed', reason: 'action-code', errCode: 5001, errMsg: 'broken', errDlt: '' },
    });
  });

  test.each([[''], [{}], [true]])('%j makes the answer invalid, unless nextCode refuses', (actionCode) => {
    expect(read({ actionCode })).toEqual({ kind: 'failed', reason: 'bad-answer', ...nothingSaid });
  });

  test.each([[1], ['1'], [5001], [''], [{}], [true]])('%j does not override a refusal by nextCode', (actionCode) => {
    const said = { errCode: 5001, errMsg: 'An error message' };
    expect(read({ actionCode, nextCode: 1, ...said })).toEqual({ kind: 'withheld', ...nothingSaid, ...said });
  });
});

describe('errCode', () => {
  test.each([
    [5000, 5000],
    [9999, 9999],
    ['5001', 5001],
    [42, 42],
    ['many', null],
    [null, null],
    [undefined, null],
  ])('%j is kept as %j', (errCode, kept) => {
    expect(read({ nextCode: 1, errCode })).toEqual({ kind: 'withheld', ...nothingSaid, errCode: kept });
  });
});

test('values that are not text are empty', () => {
  expect(read({ nextCode: 1, errMsg: 7, errDlt: null })).toEqual({ kind: 'withheld', ...nothingSaid });
});

describe('userIDList', () => {
  test.each([
    [undefined, undefined],
    [null, undefined],
    [[], []],
    [
      ['a', 'b@c'],
      ['a', 'b@c'],
    ],
  ])('%j gives %j', (userIDList, receivers) => {
    expect(read({ userIDList })).toMatchObject({ kind: 'allowed', userIDList: receivers });
  });

  test.each([['a'], [[1]], [{}], [[null]], [['a', 123]], [0], [true]])('%j is an invalid list of receivers', (userIDList) => {
    expect(read({ userIDList, errMsg: 'words' })).toEqual({ kind: 'misnamed', ...nothingSaid, errMsg: 'words' });
  });

  test('may contain up to 10 000 receivers', () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `u${index}`);
    expect(read({ userIDList: names(10_000) })).toMatchObject({ kind: 'allowed' });
    expect(read({ userIDList: names(10_001) })).toMatchObject({ kind: 'misnamed' });
  });
});

describe('offlinePushInfo', () => {
  test.each([[undefined], [null]])('%j is absent', (offlinePushInfo) => {
    expect(read({ offlinePushInfo })).toMatchObject({ kind: 'allowed', offlinePushInfo: undefined });
  });

  test('is empty for the empty array of PHP', () => {
    expect(read({ offlinePushInfo: [] })).toMatchObject({ kind: 'allowed', offlinePushInfo: {} });
  });

  test('may contain unknown members', () => {
    expect(read({ offlinePushInfo: { title: 'T', own: { deep: [1] } } })).toMatchObject({
      offlinePushInfo: { title: 'T', own: { deep: [1] } },
    });
  });

  test.each([['text'], [[1]], [7], [{ a: JSON.parse(`${'['.repeat(20)}${']'.repeat(20)}`) }]])(
    '%j makes it no answer',
    (offlinePushInfo) => {
      expect(read({ offlinePushInfo })).toMatchObject({ kind: 'failed', reason: 'bad-answer' });
    },
  );

  test('with excessive nesting is rejected', () => {
    const deep = `{"actionCode":0,"offlinePushInfo":{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`;
    expect(readAnswer(answered(deep))).toMatchObject({ kind: 'failed', reason: 'bad-answer' });
  });
});

describe('an invalid answer', () => {
  test.each<[reason: string, Outcome]>([
    ['bad-answer', answered('')],
    ['bad-answer', answered('<html/>')],
    ['bad-answer', answered('[]')],
    ['bad-answer', answered('null')],
    ['bad-answer', answered('"ok"')],
    ['bad-answer', answered('{"actionCode":0', {})],
    ['bad-answer', answered('{"actionCode":0}', { truncated: true })],
    ['bad-answer', answered('', { status: 204 })],
    ['bad-status', answered('{"actionCode":0}', { status: 302 })],
    ['bad-status', answered('{"actionCode":0}', { status: 404 })],
    ['bad-status', answered('{"actionCode":0}', { status: 429, retryAfter: '60' })],
    ['bad-status', answered('{"actionCode":0}', { status: 500 })],
    ['broken', { kind: 'broken', code: 'ECONNRESET', message: '', durationMs: 1 }],
    ['broken', { kind: 'unsent', code: 'THREAD_LOST', message: '', durationMs: 1 }],
    ['not-asked', { kind: 'unsent', code: 'NOT_ASKED', message: '', durationMs: 0 }],
    ['timed-out', { kind: 'timed-out', phase: 'headers', durationMs: 1 }],
    ['unreachable', { kind: 'unreachable', code: 'ECONNREFUSED', message: '', durationMs: 1 }],
  ])('is %s in %j', (reason, outcome) => {
    expect(readAnswer(outcome)).toEqual({ kind: 'failed', reason, ...nothingSaid });
  });
});

test.each([[201], [299]])('%i is as valid as 200', (status) => {
  expect(readAnswer(answered('\uFEFF{"actionCode":0}', { status }))).toMatchObject({ kind: 'allowed' });
});
