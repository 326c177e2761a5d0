import { expect, test } from 'vitest';
import { createPolicies } from '../../src/delivery/policy.ts';
import { makeHandlerConfig } from '../support/make-handler.ts';
import { makePoolConfig } from '../support/make-pool.ts';

const pool = makePoolConfig({ retry: { scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, accept: [409], defer: [400], refuse: [404] } });

test('takes the schedule and the lists from the pool, and hold from the handler', () => {
  const policyFor = createPolicies(pool, [makeHandlerConfig({ name: 'push', holdMs: 7 })]);
  const lists = { accept: [409], defer: [400], refuse: [404] };
  expect(policyFor('push')).toEqual({ scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, holdMs: 7, lists });
});

test.each([
  [undefined, 1000],
  [400, 400],
  [5000, 1000],
])('with ttl %s and a max_age of 1000 a delivery ends at %i', (ttlMs, maxAgeMs) => {
  expect(createPolicies(pool, [makeHandlerConfig({ name: 'push', ttlMs })])('push').maxAgeMs).toBe(maxAgeMs);
});

test('what a handler left behind that is configured no more is delivered by the rules of its pool', () => {
  expect(createPolicies(pool, [])('gone')).toMatchObject({ scheduleMs: [1, 2], maxAgeMs: 1000, holdMs: 30_000 });
});
