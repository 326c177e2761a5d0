import { expect, test } from 'vitest';
import { fixedSettingsOf, rulesOf, signingOf } from '../../src/delivery/policy.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { RequestPurpose } from '../../src/model/delivery.ts';
import { makeHandler, makeHandlerConfig } from '../support/make-handler.ts';
import { makePoolConfig } from '../support/make-pool.ts';

const pool = makePoolConfig({ retry: { scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, accept: [409], defer: [400], refuse: [404] } });

const work = (handler: string, purpose?: RequestPurpose) => ({
  handler,
  target: { kind: 'http', method: 'POST', path: '/', headers: [], ...(purpose && { purpose }) } as const,
});
const ask: RequestPurpose = { kind: 'ask', handler: 'push', packet: '{}' };
const order: RequestPurpose = { kind: 'order', origin: 'http://127.0.0.1:1', depth: 1 };

test('takes the schedule and the lists from the pool, and hold from the handler', () => {
  const { policyFor } = rulesOf(pool, [makeHandlerConfig({ name: 'push', holdMs: 7 })], []);
  const lists = { accept: [409], defer: [400], refuse: [404] };
  expect(policyFor(work('push'))).toEqual({ scheduleMs: [1, 2], jitter: 0.1, maxAgeMs: 1000, holdMs: 7, lists });
});

test.each([
  [undefined, 1000],
  [400, 400],
  [5000, 1000],
])('with ttl %s and a max_age of 1000 a delivery expires at %i', (ttlMs, maxAgeMs) => {
  expect(rulesOf(pool, [makeHandlerConfig({ name: 'push', ttlMs })], []).policyFor(work('push')).maxAgeMs).toBe(maxAgeMs);
});

test('a delivery in flight of a removed handler follows the rules of its pool', () => {
  expect(rulesOf(pool, [], []).policyFor(work('gone'))).toMatchObject({ scheduleMs: [1, 2], maxAgeMs: 1000, holdMs: 30_000 });
});

test('serves the handlers of its own pool, and knows which have callbacks at delivery', () => {
  const handlers = [makeHandlerConfig({ name: 'push' }), makeHandlerConfig({ name: 'other', pool: 'elsewhere' })];
  const rules = rulesOf(pool, handlers, [{ name: 'push', url: 'file:///m.mjs', opts: makeHandler({ name: 'push' }).opts }]);
  expect(rules.handlers).toEqual(['push']);
  expect([rules.hasCallbacks(work('push')), rules.hasCallbacks(work('other'))]).toEqual([true, false]);
});

test('only pushes of handlers with signing keys of their own name their signer', () => {
  const key = [new Secret('whsec_a')];
  const handlers = [makeHandlerConfig({ name: 'push', sign: key }), makeHandlerConfig({ name: 'other' })];
  const { signs } = rulesOf(pool, handlers, []);
  expect(['push', 'other', 'push:ask', 'gone'].map((name) => signs(work(name)))).toEqual([true, false, false, false]);
  expect(rulesOf(makePoolConfig({ id: 'follow_up' }), handlers, []).signs(work('push', order))).toBe(false);
});

test('a pool signs with its keys and those of its own handlers, and is replaced when one of them changes', () => {
  const signed = makePoolConfig({ sign: [new Secret('whsec_pool')] });
  const handlersWith = (key: string) => [
    makeHandlerConfig({ name: 'push', sign: [new Secret(key)] }),
    makeHandlerConfig({ name: 'other', pool: 'elsewhere', sign: [new Secret('whsec_other')] }),
  ];
  expect(signingOf(signed, handlersWith('whsec_a'))).toEqual({ ofPool: ['whsec_pool'], ofHandlers: [['push', ['whsec_a']]] });
  expect(signingOf(pool, [])).toBeUndefined();

  const settingsWith = (key: string) => fixedSettingsOf(signed, { pools: [signed], handlers: handlersWith(key), sessions: [] });
  expect(settingsWith('whsec_a')).toBe(settingsWith('whsec_a'));
  expect(settingsWith('whsec_b')).not.toBe(settingsWith('whsec_a'));
});

test('serves the queues of questions and orders on its pool', () => {
  const beforePush = {
    queue: 'asking:ask',
    pool: pool.id,
    path: '/ask',
    requestPath: '/ask',
    timeoutMs: 5000,
    form: 'openim-2',
    onFailure: 'continue',
  } as const;
  const followUp = { allow: ['a.example'], ownOrigin: 'http://b.example', maxDepth: 3, replyFrom: undefined, defaultHost: undefined };
  const asking = makeHandlerConfig({ name: 'asking', pool: 'elsewhere', beforePush });
  const ordered = makeHandlerConfig({ name: 'ordered', pool: 'elsewhere', followUp });
  expect(rulesOf(pool, [asking, ordered], []).handlers).toEqual(['asking:ask']);
  expect(rulesOf(makePoolConfig({ id: 'follow_up' }), [asking, ordered], []).handlers).toEqual(['ordered']);
});

test('a question is sent once, without callbacks at delivery', () => {
  const handler = makeHandlerConfig({ name: 'push' });
  const rules = rulesOf(pool, [handler], [{ name: 'push', url: 'file:///m.mjs', opts: makeHandler({ name: 'push' }).opts }]);
  expect(rules.policyFor(work('push', ask))).toMatchObject({ scheduleMs: [], maxAgeMs: Number.POSITIVE_INFINITY });
  expect([rules.hasCallbacks(work('push', ask)), rules.hasCallbacks(work('push', order))]).toEqual([false, false]);
});

test('evaluates the response to a question, and to pushes and orders with follow_up', () => {
  const followUp = { allow: ['a.example'], ownOrigin: 'http://b.example', maxDepth: 3, replyFrom: undefined, defaultHost: undefined };
  const rules = rulesOf(pool, [makeHandlerConfig({ name: 'push' }), makeHandlerConfig({ name: 'follows', followUp })], []);
  expect([work('push'), work('push', ask), work('follows'), work('follows', order)].map(rules.wantsBody)).toEqual([
    false,
    true,
    true,
    true,
  ]);
});
