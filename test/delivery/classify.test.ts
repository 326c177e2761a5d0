import { describe, expect, test } from 'vitest';
import { type BackendHealth, classify, healthOf, retryAfterMs, type Verdict } from '../../src/delivery/classify.ts';
import { type Judgement, type Outcome, type StatusOrigin, TOKEN_UNAVAILABLE } from '../../src/model/attempt.ts';

const now = 0;
const lists = { accept: [], defer: [], refuse: [] };
const plain = { lists, now };
const answered = (status: number, retryAfter?: string): Outcome => ({
  kind: 'answered',
  status,
  retryAfter,
  durationMs: 1,
  excerpt: '',
  truncated: false,
});

test.each([200, 201, 202, 204, 299])('accepts %i', (status) => {
  expect(classify(answered(status), undefined, plain)).toEqual({ kind: 'accepted' });
});

test.each([400, 410, 413, 414, 415, 422, 431, 501, 505])('refuses %i: the same request cannot succeed later', (status) => {
  expect(classify(answered(status), undefined, plain)).toEqual({ kind: 'refused', by: 'backend', reason: `status ${status}` });
});

test.each([101, 301, 302, 307, 401, 403, 404, 405, 408, 409, 418, 421, 425, 429, 500, 502, 503, 504, 599])('defers %i', (status) => {
  expect(classify(answered(status), undefined, plain).kind).toBe('deferred');
});

test('defers attempts without a response, with the reason', () => {
  const met: Outcome[] = [
    { kind: 'timed-out', phase: 'headers', durationMs: 2000 },
    { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 },
    { kind: 'broken', code: 'ECONNRESET', message: 'reset', durationMs: 1 },
    { kind: 'unreachable', code: TOKEN_UNAVAILABLE, message: 'no access token from https://a/token: status 500', durationMs: 1 },
  ];
  expect(met.map((outcome) => classify(outcome, undefined, plain))).toEqual([
    { kind: 'deferred', reason: 'timed out (headers)', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'unreachable: ECONNREFUSED', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'connection broken: ECONNRESET', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'no access token from https://a/token: status 500', retryAfterMs: undefined },
  ]);
});

test('passes on the wait that the backend asks for', () => {
  expect(classify(answered(503, '7'), undefined, plain)).toMatchObject({ kind: 'deferred', retryAfterMs: 7000 });
});

test('the lists of a pool take precedence over the defaults', () => {
  const own = { lists: { accept: [409], defer: [400], refuse: [404] }, now };
  expect([409, 400, 404, 200].map((status) => classify(answered(status), undefined, own).kind)).toEqual([
    'accepted',
    'deferred',
    'refused',
    'accepted',
  ]);
});

test('refuses a delivery without a request from its callback, and defers one that lost its thread', () => {
  const unsent = (code: string): Outcome => ({ kind: 'unsent', code, message: 'buildRequest threw', durationMs: 0 });
  expect(classify(unsent('CALLBACK_FAILED'), undefined, plain)).toEqual({ kind: 'refused', by: 'callback', reason: 'buildRequest threw' });
  expect(classify(unsent('THREAD_LOST'), undefined, plain).kind).toBe('deferred');
});

const judged = (rest: Partial<Judgement>): Judgement => ({
  verdict: 'unclassified',
  status: undefined,
  detail: '',
  origin: 'http',
  context: {},
  awaitsDisposition: false,
  ...rest,
});

test.each<readonly [string, Judgement, Outcome, string]>([
  ['success with any status', judged({ verdict: 'success', status: 500 }), answered(500), 'accepted'],
  ['permfailed with any status', judged({ verdict: 'permfailed', status: 200 }), answered(200), 'refused'],
  ['tempfailed with any status', judged({ verdict: 'tempfailed', status: 200 }), answered(200), 'deferred'],
  ['a status of the module by the lists of the pool', judged({ status: 422, origin: 'module' }), answered(200), 'refused'],
  ['a status that a module set to 202', judged({ status: 202, origin: 'module' }), answered(500), 'accepted'],
  ['an unknown status as deferred', judged({ status: 7777, origin: 'module' }), answered(200), 'deferred'],
  [
    'an internal code by the outcome',
    judged({ status: 591, origin: 'internal' }),
    { kind: 'broken', code: 'X', message: '', durationMs: 1 },
    'deferred',
  ],
])('classifies by the judgement of callbacks: %s', (_name, judgement, outcome, kind) => {
  expect(classify(outcome, judgement, plain).kind).toBe(kind);
});

test('the reason contains the status and detail of the module', () => {
  const judgement = judged({ verdict: 'tempfailed', status: 406, detail: 'suppressed' });
  expect(classify(answered(200, '3'), judgement, plain)).toEqual({ kind: 'deferred', reason: 'status 406 suppressed', retryAfterMs: 3000 });
});

describe('the health of the backend after', () => {
  const unavailable = answered(503);
  const deferred: Verdict = { kind: 'deferred', reason: '', retryAfterMs: undefined };
  const from = (origin: StatusOrigin): Judgement => judged({ verdict: 'tempfailed', status: 1, origin });

  test.each<readonly [string, Outcome, Judgement | undefined, Verdict, BackendHealth]>([
    ['an accepted request', unavailable, undefined, { kind: 'accepted' }, 'healthy'],
    ['a refused request', unavailable, undefined, { kind: 'refused', by: 'backend', reason: '' }, 'healthy'],
    ['a deferred request', unavailable, undefined, deferred, 'failing'],
    ['a request deferred by the status of the backend', unavailable, from('http'), deferred, 'failing'],
    ['a request deferred by the module', unavailable, from('module'), deferred, 'healthy'],
    ['a callback that failed on the response', unavailable, from('internal'), deferred, 'unknown'],
    ['a refused connection', { kind: 'unreachable', code: 'X', message: '', durationMs: 1 }, undefined, deferred, 'unreachable'],
    ['a connect timeout', { kind: 'timed-out', phase: 'connect', durationMs: 1 }, undefined, deferred, 'unreachable'],
    ['a response timeout', { kind: 'timed-out', phase: 'headers', durationMs: 1 }, undefined, deferred, 'failing'],
    ['a broken connection', { kind: 'broken', code: 'X', message: '', durationMs: 1 }, undefined, deferred, 'failing'],
    ['a request that was not sent', { kind: 'unsent', code: 'X', message: '', durationMs: 1 }, from('internal'), deferred, 'unknown'],
  ])('%s', (_name, outcome, judgement, verdict, health) => {
    expect(healthOf(outcome, judgement, verdict)).toBe(health);
  });
});

describe('Retry-After', () => {
  const noon = Date.parse('2026-11-22T12:00:00Z');

  test.each([
    ['nothing', undefined, undefined],
    ['seconds', '120', 120_000],
    ['zero', '0', 0],
    ['fractions', '1.5', 1500],
    ['fractions of a ms, rounded up', '1.23456', 1235],
    ['more digits than a number can hold', '9'.repeat(400), Number.POSITIVE_INFINITY],
    ['spaces around', ' 3 ', 3000],
    ['an HTTP-date', 'Sun, 22 Nov 2026 12:00:30 GMT', 30_000],
    ['an RFC 850 date', 'Sunday, 22-Nov-26 12:00:30 GMT', 30_000],
    ['an asctime date', 'Sun Nov 22 12:00:30 2026', 30_000],
    ['a date in the past', 'Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['negative seconds', '-5', undefined],
    ['garbage', 'soon', undefined],
    ['an ISO date', '2026-11-22T12:00:30Z', undefined],
    ['an empty value', '', undefined],
  ])('reads %s', (_what, header, expected) => {
    expect(retryAfterMs(header, noon)).toBe(expected);
  });
});
