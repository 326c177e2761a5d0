import { describe, expect, test } from 'vitest';
import { bareJidOf } from '../../../src/admin/api/bare-jid.ts';
import type { FollowUpConfig } from '../../../src/config/config.ts';
import { begin, conclude } from '../../../src/delivery/attempt.ts';
import { createFollowUp } from '../../../src/delivery/follow-up/follow-up.ts';
import { rulesOf } from '../../../src/delivery/policy.ts';
import type { Claimed, HttpTarget, NewDelivery, RequestPurpose } from '../../../src/model/delivery.ts';
import { createEventBus } from '../../../src/telemetry/events.ts';
import { makeDelivery } from '../../spool/build.ts';
import { makeHandlerConfig } from '../../support/make-handler.ts';
import { makePoolConfig } from '../../support/make-pool.ts';

const now = 1_700_000_001_000;
const config: FollowUpConfig = {
  ...{ allow: ['127.0.0.1'], ownOrigin: 'http://127.0.0.1:8000', maxDepth: 3 },
  ...{ replyFrom: 'bot@localhost', defaultHost: undefined },
};
const options = { host: '127.0.0.1', port: 5984, method: 'POST', path: '/next' };
const callback = { options, data: { a: 1 } };

const push = claimed(makeDelivery({ id: 'X', lane: 'push alice bob' }));
const order = (depth: number, id = 'X.1') => {
  const purpose: RequestPurpose = { kind: 'order', origin: 'http://127.0.0.1:5984', depth };
  return claimed(makeDelivery<HttpTarget>({ id, pool: 'follow_up', target: { ...makeDelivery().target, purpose } }));
};

function claimed(delivery: NewDelivery): Claimed {
  return { ...delivery, seq: 1, attempts: 0, failingSince: undefined, context: {} };
}

/** Concludes a delivery with this response; returns the result of the follow-up and the emitted events. */
async function follow(delivery: Claimed, status: number, answer: unknown, { attempts = 0 }: { readonly attempts?: number } = {}) {
  const handler = makeHandlerConfig({ name: 'push', followUp: config });
  const policy = rulesOf(makePoolConfig({ id: 'follow_up' }), [handler], []).policyFor(delivery);
  const body = typeof answer === 'string' ? answer : JSON.stringify(answer);
  const outcome = { kind: 'answered', status, durationMs: 1, retryAfter: undefined, excerpt: '', truncated: false, body } as const;
  const concluded = conclude(begin({ ...delivery, attempts }, policy), { outcome, judgement: undefined }, { now, random: () => 0.5 });
  const events = createEventBus();
  const ignored: string[] = [];
  events.on('answer.ignored', ({ reason }) => ignored.push(reason));
  const sequel = await createFollowUp({ configOf: (name) => (name === 'push' ? config : undefined), bareOf: bareJidOf, events })(concluded);
  return {
    disposition: sequel?.disposition ?? concluded.disposition,
    spawn: sequel?.spawn ?? [],
    failedPackets: sequel?.failedPackets ?? [],
    ignored,
  };
}

test('the receiver of a message is its prepared bare JID, by which a user is found and erased', async () => {
  const messages = [
    { to: 'Bob@Example.org/phone', message: 'one' },
    { to: 'bob@example.org', message: 'two' },
  ];
  const { spawn } = await follow(push, 200, { payload: { task: 'send', messages } });
  const address = { receiver: 'bob@example.org', lane: 'push > bob@example.org' };
  expect(spawn).toMatchObject([{ ...address, target: { to: 'Bob@Example.org/phone' } }, address]);
});

test('a response creates a request and messages, whose ids extend the id of the answered delivery', async () => {
  const payload = {
    success: true,
    task: 'send',
    messages: [
      { to: 'bob', message: 'one' },
      { to: '+123', message: 'two' },
    ],
  };
  const { disposition, spawn, ignored } = await follow(push, 200, { callback, payload });

  expect(disposition).toEqual({ kind: 'delivered' });
  const { packetId, facts, host, handler, sender, seenAt } = push;
  const inherited = { packetId, facts, host, handler, sender, seenAt, createdAt: now };
  expect(spawn).toEqual([
    {
      ...inherited,
      id: 'X.1',
      pool: 'follow_up',
      lane: null,
      receiver: push.receiver,
      target: {
        kind: 'http',
        method: 'POST',
        path: '/next',
        headers: [],
        purpose: { kind: 'order', origin: 'http://127.0.0.1:5984', depth: 1 },
      },
      body: '{"a":1}',
    },
    {
      ...inherited,
      id: 'X.2',
      pool: 'follow_up_messages',
      lane: 'push > bob@localhost',
      receiver: 'bob@localhost',
      target: { kind: 'xmpp', from: 'bot@localhost', to: 'bob@localhost' },
      body: 'one',
    },
    expect.objectContaining({
      id: 'X.3',
      pool: 'follow_up_messages',
      target: expect.objectContaining({ fault: 'to is a telephone number, not a JID' }),
    }),
  ]);
  expect(ignored).toEqual([]);
});

test.each(['ok', '', '[1]', '7', 'null', '{"callback":', '{}', '{"callback":null,"payload":null}', '<html>'])(
  'a response %j contains no order, and is not an error',
  async (answer) => {
    expect(await follow(push, 200, answer)).toEqual({ disposition: { kind: 'delivered' }, spawn: [], failedPackets: [], ignored: [] });
  },
);

test('a response may begin with a byte order mark', async () => {
  expect(await follow(push, 200, `\uFEFF${JSON.stringify({ callback })}`)).toMatchObject({ spawn: [{ id: 'X.1' }], ignored: [] });
});

test('a response with excessive nesting orders nothing and emits an event', async () => {
  const deep = `{"callback":{"options":{"host":"127.0.0.1","method":"POST"},"data":${'['.repeat(80_000)}${']'.repeat(80_000)}}}`;
  expect(await follow(push, 200, deep)).toEqual({
    disposition: { kind: 'delivered' },
    spawn: [],
    failedPackets: [],
    ignored: ['too-deep'],
  });
});

test('an order whose path or port is an object is stored with its fault and never sent', async () => {
  const untextual = { toString: 1, valueOf: 1 };
  for (const odd of [{ path: untextual }, { port: untextual }, { host: untextual }, { protocol: untextual }, { method: untextual }]) {
    const { spawn } = await follow(push, 200, { callback: { options: { ...options, ...odd } } });
    expect(spawn).toMatchObject([
      { target: { path: expect.any(String), purpose: { fault: expect.stringContaining('callback.options') } } },
    ]);
  }
});

test('the response to a handler without follow_up is ignored', async () => {
  expect(await follow({ ...push, handler: 'other' }, 200, { callback })).toMatchObject({ spawn: [] });
});

test('the answer to a question orders nothing', async () => {
  const ask: RequestPurpose = { kind: 'ask', handler: 'h', packet: '{}' };
  const asked = claimed(makeDelivery<HttpTarget>({ id: 'X', target: { ...makeDelivery().target, purpose: ask } }));
  expect(await follow(asked, 200, { callback })).toMatchObject({ spawn: [] });
});

test('a deferred response orders nothing', async () => {
  expect(await follow(push, 503, { callback })).toMatchObject({ disposition: { kind: 'retry' }, spawn: [] });
});

test('a declined payload emits an event, and its request is still created', async () => {
  const { spawn, ignored } = await follow(push, 200, {
    callback,
    payload: { success: false, task: 'send', messages: [{ to: 'a', message: 'x' }] },
  });
  expect([spawn.map(({ id }) => id), ignored]).toEqual([['X.1'], ['declined']]);
});

describe('a chain', () => {
  test.each([200, 201])('continues at %i with the next depth', async (status) => {
    const { disposition, spawn } = await follow(order(1), status, { callback });
    expect(disposition).toEqual({ kind: 'delivered' });
    expect(spawn).toMatchObject([{ id: 'X.1.1', target: { purpose: { depth: 2 } } }]);
    expect(spawn[0]?.target.purpose).not.toHaveProperty('fault');
  });

  test.each([202, 204, 206, 299, 301, 302, 304, 400, 401, 403, 404, 408, 409, 410, 422, 499])('ends at %i', async (status) => {
    const disposition = { kind: 'dead', reason: 'chain-failed', detail: `status ${status}` };
    expect(await follow(order(1), status, { callback })).toMatchObject({ disposition, spawn: [] });
  });

  test.each([429, 500, 501, 502, 503, 504, 505, 599])('retries at %i, and ends after the last attempt', async (status) => {
    expect(await follow(order(1), status, { callback })).toMatchObject({ disposition: { kind: 'retry' }, spawn: [] });
    const disposition = { kind: 'dead', reason: 'chain-failed', detail: `status ${status}` };
    expect(await follow(order(1), status, { callback }, { attempts: 2 })).toMatchObject({ disposition, spawn: [] });
  });

  test('that is too long or breaks a rule is stored with the reason and never sent', async () => {
    const { spawn } = await follow(order(3, 'X.1.1.1'), 200, { callback });
    expect(spawn).toMatchObject([{ id: 'X.1.1.1.1', target: { purpose: { fault: 'the chain is longer than max_depth (3)' } } }]);
    const broken = await follow(push, 200, { callback: { options, data: [1] } });
    expect(broken.spawn).toMatchObject([{ target: { purpose: { origin: '', fault: expect.stringContaining('an array') } } }]);
    expect(broken.disposition).toEqual({ kind: 'delivered' });
  });
});
