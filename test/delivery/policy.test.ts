import { expect, test } from 'vitest';
import { rulesOf } from '../../src/delivery/policy.ts';
import { makeHandler, makeHandlerConfig } from '../support/make-handler.ts';
import { makePoolConfig } from '../support/make-pool.ts';

const pool = makePoolConfig({ retry: { scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, accept: [409], defer: [400], refuse: [404] } });

test('takes the schedule and the lists from the pool, and hold from the handler', () => {
  const { policyFor } = rulesOf(pool, [makeHandlerConfig({ name: 'push', holdMs: 7 })], []);
  const lists = { accept: [409], defer: [400], refuse: [404] };
  expect(policyFor('push')).toEqual({ scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, holdMs: 7, lists });
});

test.each([
  [undefined, 1000],
  [400, 400],
  [5000, 1000],
])('with ttl %s and a max_age of 1000 a delivery ends at %i', (ttlMs, maxAgeMs) => {
  expect(rulesOf(pool, [makeHandlerConfig({ name: 'push', ttlMs })], []).policyFor('push').maxAgeMs).toBe(maxAgeMs);
});

test('what is under way when its handler goes ends by the rules of its pool', () => {
  expect(rulesOf(pool, [], []).policyFor('gone')).toMatchObject({ scheduleMs: [1, 2], maxAgeMs: 1000, holdMs: 30_000 });
});

test('serves the handlers of its own pool, and knows which have callbacks at delivery', () => {
  const handlers = [makeHandlerConfig({ name: 'push' }), makeHandlerConfig({ name: 'other', pool: 'elsewhere' })];
  const rules = rulesOf(pool, handlers, [{ name: 'push', url: 'file:///m.mjs', opts: makeHandler({ name: 'push' }).opts }]);
  expect(rules.handlers).toEqual(['push']);
  expect([rules.hasCallbacks('push'), rules.hasCallbacks('other')]).toEqual([true, false]);
});
