import { expect, test } from 'vitest';
import type { Outcome } from '../../pools/contract.ts';
import { classify } from '../../src/delivery/classify.ts';

const now = 0;
const plain = { accept: [], defer: [], refuse: [] };
const answered = (status: number, retryAfter?: string): Outcome => ({
  kind: 'answered',
  status,
  retryAfter,
  durationMs: 1,
  excerpt: '',
  truncated: false,
});

test.each([200, 201, 202, 204, 299])('accepts %i', (status) => {
  expect(classify(answered(status), plain, now)).toEqual({ kind: 'accepted' });
});

test.each([400, 410, 413, 414, 415, 422, 431, 501, 505])('refuses %i: the same request will never do', (status) => {
  expect(classify(answered(status), plain, now)).toEqual({ kind: 'refused', reason: `status ${status}` });
});

test.each([101, 301, 302, 307, 401, 403, 404, 405, 408, 409, 418, 421, 425, 429, 500, 502, 503, 504, 599])('defers %i', (status) => {
  expect(classify(answered(status), plain, now).kind).toBe('deferred');
});

test('defers what never got an answer, and says where it stood', () => {
  const met: Outcome[] = [
    { kind: 'timed-out', phase: 'headers', durationMs: 2000 },
    { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 },
    { kind: 'broken', code: 'ECONNRESET', message: 'reset', durationMs: 1 },
  ];
  expect(met.map((outcome) => classify(outcome, plain, now))).toEqual([
    { kind: 'deferred', reason: 'timed out (headers)', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'unreachable: ECONNREFUSED', retryAfterMs: undefined },
    { kind: 'deferred', reason: 'connection broken: ECONNRESET', retryAfterMs: undefined },
  ]);
});

test('passes on the wait that a backend asks for', () => {
  expect(classify(answered(503, '7'), plain, now)).toMatchObject({ kind: 'deferred', retryAfterMs: 7000 });
});

test("lets a pool's lists overrule the defaults", () => {
  const lists = { accept: [409], defer: [400], refuse: [404] };
  expect([409, 400, 404, 200].map((status) => classify(answered(status), lists, now).kind)).toEqual([
    'accepted',
    'deferred',
    'refused',
    'accepted',
  ]);
});
