import { describe, expect, test } from 'vitest';
import { AskFollow } from '../../../src/delivery/ask/follow.ts';
import type { FollowResult } from '../../../src/delivery/attempt.ts';
import { begin, conclude, type Spawned } from '../../../src/delivery/attempt.ts';
import type { Outcome } from '../../../src/model/attempt.ts';
import type { Answered } from '../../../src/model/delivery.ts';
import type { Events } from '../../../src/telemetry/events.ts';
import { createEventBus } from '../../../src/telemetry/events.ts';
import { makeDelivery, makeFailedPacket } from '../../spool/build.ts';
import { makeHandlerConfig } from '../../support/make-handler.ts';

const purpose = { kind: 'ask', handler: 'push', packet: '{}' } as const;
const ask = makeDelivery({ id: 'a1', handler: 'push:ask', target: { ...makeDelivery().target, purpose } });
const push = makeDelivery({ id: 'a1.1' });
const made: Spawned = { spawn: [push], failedPackets: [] };

const over = { kind: 'delivered' };
const nothing = { disposition: over, spawn: [], failedPackets: [] };

function rigOf({
  onFailure = 'continue' as 'continue' | 'refuse',
  form = 'openim-2' as 'openim-2' | 'openim-3',
  prepare = async (): Promise<Spawned | 'misnamed' | 'unknown-handler'> => made,
} = {}) {
  const events = createEventBus();
  const emitted: string[] = [];
  const withheld: Events['push.withheld'][] = [];
  const asked: Answered[] = [];
  events.on('ask.ended', ({ id, handler, result, reason, pushes }) => emitted.push([id, handler, result, reason, pushes].join(' ')));
  events.on('push.withheld', (push) => withheld.push(push));

  const beforePush = { queue: 'push:ask', pool: 'p', path: '', requestPath: '/', timeoutMs: 1, form, onFailure };
  const { follow } = new AskFollow({
    handlers: () => [makeHandlerConfig({ name: 'push', beforePush })],
    prepare: (_, answered) => {
      asked.push(answered);
      return prepare();
    },
    events,
  });
  return { emitted, withheld, asked, follow: (outcome: Outcome) => follow(concludedOf(outcome)) as Promise<FollowResult>, plain: follow };
}

function concludedOf(outcome: Outcome, delivery = ask) {
  const policy = { scheduleMs: [], jitter: 0, maxAgeMs: 1e9, holdMs: 0, lists: { accept: [], defer: [], refuse: [] } };
  const claimed = { ...delivery, seq: 1, attempts: 0, failingSince: undefined, context: {} };
  return conclude(begin(claimed, policy), { outcome, judgement: undefined }, { now: 0, random: () => 0.5 });
}

function answered(answer: object, status = 200): Outcome {
  const body = JSON.stringify({ actionCode: 0, ...answer });
  return { kind: 'answered', status, durationMs: 1, retryAfter: undefined, excerpt: '', truncated: false, body };
}

const down: Outcome = { kind: 'unreachable', code: 'ECONNREFUSED', message: '', durationMs: 1 };

test('ignores deliveries that are not questions', () => {
  expect(rigOf().plain(concludedOf(down, makeDelivery()))).toBeUndefined();
});

test('an allowed question creates its push and is settled', async () => {
  const rig = rigOf();
  expect(await rig.follow(answered({ userIDList: ['carol'], offlinePushInfo: { title: 'T' } }))).toEqual({ disposition: over, ...made });
  expect(rig.asked).toEqual([{ kind: 'allowed', userIDList: ['carol'], offlinePushInfo: { title: 'T' } }]);
  expect(rig.emitted).toEqual(['a1 push allowed  1']);
});

test('a refusal creates neither push nor dead letter, and emits the error of the server', async () => {
  const rig = rigOf();
  expect(await rig.follow(answered({ nextCode: 1, errCode: 5001, errMsg: 'An error message', errDlt: 'Details' }))).toEqual(nothing);
  expect(rig.asked).toEqual([]);
  expect(rig.emitted).toEqual(['a1 push withheld  0']);
  expect(rig.withheld).toEqual([
    {
      ...{ id: 'a1', packetId: ask.packetId, handler: 'push', host: ask.host, sender: ask.sender, receiver: ask.receiver },
      ...{ pool: ask.pool, facts: ask.facts, seenAt: ask.seenAt, createdAt: ask.createdAt },
      ...{ why: 'refused', errCode: 5001, errMsg: 'An error message', errDlt: 'Details' },
    },
  ]);
});

test('an answer without a receiver creates no push, and emits an event', async () => {
  const rig = rigOf({ prepare: async () => ({ spawn: [], failedPackets: [] }) });
  expect(await rig.follow(answered({ userIDList: [] }))).toEqual(nothing);
  expect(rig.emitted).toEqual(['a1 push withheld  0']);
  expect(rig.withheld).toMatchObject([{ why: 'no-receiver', errCode: null }]);
});

test('a callback that fails on the answer creates a dead letter, and the question is settled', async () => {
  const failedPackets = [makeFailedPacket()];
  const rig = rigOf({ prepare: async () => ({ spawn: [], failedPackets }) });
  expect(await rig.follow(answered({}))).toEqual({ disposition: over, spawn: [], failedPackets });
  expect(rig.emitted).toEqual(['a1 push allowed  0']);
  expect(rig.withheld).toEqual([]);
});

describe('without a valid answer', () => {
  test('it is pushed as without a question', async () => {
    const rig = rigOf();
    expect(await rig.follow(down)).toEqual({ disposition: over, ...made });
    expect(rig.asked).toEqual([{ kind: 'failed', reason: 'unreachable' }]);
    expect(rig.emitted).toEqual(['a1 push failed unreachable 1']);
    expect(rig.withheld).toEqual([]);
  });

  test('or withheld, if on_failure is refuse', async () => {
    const rig = rigOf({ onFailure: 'refuse' });
    expect(await rig.follow(answered({ actionCode: 7, errCode: 5002, errMsg: 'mine' }))).toEqual(nothing);
    expect(rig.asked).toEqual([]);
    expect(rig.emitted).toEqual(['a1 push failed action-code 0']);
    expect(rig.withheld).toMatchObject([{ why: 'action-code', errCode: 5002, errMsg: 'mine' }]);
  });
});

describe.each(['continue', 'refuse'] as const)('receivers that cannot be read withhold the push, where on_failure is %s:', (onFailure) => {
  test.each([[[123]], [['carol', 123]], [['carol', null]], ['carol'], [{ 0: 'carol' }]])('%j', async (userIDList) => {
    const rig = rigOf({ onFailure });
    expect(await rig.follow(answered({ userIDList, errMsg: 'words' }))).toEqual(nothing);
    expect(rig.asked).toEqual([]);
    expect(rig.emitted).toEqual(['a1 push failed bad-answer 0']);
    expect(rig.withheld).toMatchObject([{ why: 'bad-answer', errMsg: 'words' }]);
  });

  test('one invalid receiver among valid ones', async () => {
    const rig = rigOf({ onFailure, prepare: async () => 'misnamed' });
    expect(await rig.follow(answered({ userIDList: ['carol', ' '] }))).toEqual(nothing);
    expect(rig.emitted).toEqual(['a1 push failed bad-answer 0']);
    expect(rig.withheld).toMatchObject([{ why: 'bad-answer' }]);
  });
});

test('an empty list of receivers has no effect in the form of OpenIM 3', async () => {
  const rig = rigOf({ form: 'openim-3' });
  for (const userIDList of [[], ['carol']]) await rig.follow(answered({ userIDList }));
  expect(rig.asked).toMatchObject([{ userIDList: undefined }, { userIDList: ['carol'] }]);
});

describe('if no push can be made', () => {
  test('because the handler is not configured, it is a dead letter', async () => {
    const rig = rigOf({ prepare: async () => 'unknown-handler' });
    expect(await rig.follow(answered({}))).toMatchObject({ disposition: { kind: 'dead', reason: 'callback-failed' }, spawn: [] });
    expect(rig.emitted).toEqual([]);
  });

  test('because its packet cannot be read, it is a dead letter with the reason', async () => {
    const rig = rigOf({
      prepare: async () => {
        throw new Error('cannot read a stored packet of version 9');
      },
    });
    expect(await rig.follow(answered({}))).toMatchObject({
      disposition: { kind: 'dead', detail: 'cannot read a stored packet of version 9' },
    });
  });
});
