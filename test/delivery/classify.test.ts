import { expect, test } from 'vitest';
import { classify } from '../../src/delivery/classify.ts';
import type { Judgement, Outcome } from '../../src/model/attempt.ts';

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

test.each([400, 410, 413, 414, 415, 422, 431, 501, 505])('refuses %i: the same request will never do', (status) => {
  expect(classify(answered(status), undefined, plain)).toEqual({ kind: 'refused', by: 'backend', reason: `status ${status}` });
});

test.each([101, 301, 302, 307, 401, 403, 404, 405, 408, 409, 418, 421, 425, 429, 500, 502, 503, 504, 599])('defers %i', (status) => {
  expect(classify(answered(status), undefined, plain).kind).toBe('deferred');
});

test('defers what never got an answer, and says where it stood', () => {
  const met: Outcome[] = [
    { kind: 'timed-out', phase: 'headers', durationMs: 2000 },
    { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 },
    { kind: 'broken', code: 'ECONNRESET', message: 'reset', durationMs: 1 },
  ];
  expect(met.map((outcome) => classify(outcome, undefined, plain))).toEqual([
    { kind: 'deferred', reason: 'timed out (headers)', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'unreachable: ECONNREFUSED', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'connection broken: ECONNRESET', retryAfterMs: undefined },
  ]);
});

test('passes on the wait that a backend asks for', () => {
  expect(classify(answered(503, '7'), undefined, plain)).toMatchObject({ kind: 'deferred', retryAfterMs: 7000 });
});

test("lets a pool's lists overrule the defaults", () => {
  const own = { lists: { accept: [409], defer: [400], refuse: [404] }, now };
  expect([409, 400, 404, 200].map((status) => classify(answered(status), undefined, own).kind)).toEqual([
    'accepted',
    'deferred',
    'refused',
    'accepted',
  ]);
});

test('refuses what a callback of ours made no request of, but tries again what lost its thread', () => {
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
  ['a success whatever the status', judged({ verdict: 'success', status: 500 }), answered(500), 'accepted'],
  ['a permanent failure whatever the status', judged({ verdict: 'permfailed', status: 200 }), answered(200), 'refused'],
  ['a temporary failure whatever the status', judged({ verdict: 'tempfailed', status: 200 }), answered(200), 'deferred'],
  ["a module's own status by the usual lists", judged({ status: 422, origin: 'module' }), answered(200), 'refused'],
  ['a status that a module set to 202', judged({ status: 202, origin: 'module' }), answered(500), 'accepted'],
  ['an unheard-of status as temporary', judged({ status: 7777, origin: 'module' }), answered(200), 'deferred'],
  [
    'our own codes by what was met',
    judged({ status: 591, origin: 'internal' }),
    { kind: 'broken', code: 'X', message: '', durationMs: 1 },
    'deferred',
  ],
])('where callbacks have judged, counts %s', (_name, judgement, outcome, kind) => {
  expect(classify(outcome, judgement, plain).kind).toBe(kind);
});

test('says the status that a module set, with its detail', () => {
  const judgement = judged({ verdict: 'tempfailed', status: 406, detail: 'suppressed' });
  expect(classify(answered(200, '3'), judgement, plain)).toEqual({ kind: 'deferred', reason: 'status 406 suppressed', retryAfterMs: 3000 });
});
