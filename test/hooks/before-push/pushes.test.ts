import { describe, expect, test } from 'vitest';
import type { Callbacks } from '../../../pools/callbacks.ts';
import type { BeforePushConfig, HandlerConfig } from '../../../src/config/config.ts';
import { askBeforePush } from '../../../src/hooks/before-push/ask.ts';
import { AskedPushMaker } from '../../../src/hooks/before-push/pushes.ts';
import * as cloudevents from '../../../src/hooks/builtin/cloudevents.ts';
import * as json from '../../../src/hooks/builtin/json.ts';
import { unwatched } from '../../../src/hooks/call.ts';
import { createHandler } from '../../../src/hooks/create-handler.ts';
import type { Evaluation } from '../../../src/hooks/evaluate.ts';
import { Evaluator } from '../../../src/hooks/evaluate.ts';
import type { LoadedHandler } from '../../../src/hooks/handler.ts';
import { Replayer } from '../../../src/hooks/replay.ts';
import type { Answered, DeliveryId, NewDelivery } from '../../../src/model/delivery.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { createEventBus } from '../../../src/telemetry/events.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createFakeTimers } from '../../support/fake-timers.ts';
import { makeHandler, makeHandlerConfig } from '../../support/make-handler.ts';
import { chat, makePacket } from '../../support/make-packet.ts';

const beforePush: BeforePushConfig = {
  queue: 'push:ask',
  pool: 'business',
  path: '/callback',
  requestPath: '/callback?command=callbackBeforePushCommand&contenttype=json',
  timeoutMs: 5000,
  form: 'openim-2',
  onFailure: 'continue',
};

const asking = { name: 'push', beforePush } satisfies Partial<HandlerConfig>;

/** A handler with `before_push`, and its evaluation of packets and of answers. */
function rigOf(handler: LoadedHandler) {
  let ids = 0;
  const handlers = [handler];
  const clock = createFakeClock();
  const newId = () => `ask${++ids}` as DeliveryId;
  const options = {
    limits: { timeoutMs: 5000, blockTimeoutMs: 10_000 },
    watch: unwatched,
    clock,
    timers: createFakeTimers(),
    newId,
    events: createEventBus(),
    beforeRequest: askBeforePush({ clock, newId }),
  };
  const evaluator = new Evaluator({ ...options, handlers });
  const evaluate = (packet: Packet) => evaluator.evaluate(packet);
  const { prepare } = new AskedPushMaker({ ...options, handlers: () => handlers });
  const unused = () => Promise.reject(new Error('not called'));
  const spool = { deadLetter: unused, deadLetters: unused, replay: unused };
  const replayer = new Replayer({ ...options, handlers: () => handlers, spool, accept: unused, wake: () => undefined });

  async function ask(packet: Packet = makePacket()): Promise<NewDelivery> {
    const { deliveries }: Evaluation = await evaluate(packet);
    const [delivery] = deliveries;
    if (delivery === undefined) throw new Error('no ask was made');
    return delivery;
  }

  async function pushes(answered: Answered, packet?: Packet) {
    const made = await prepare(await ask(packet), answered);
    if (typeof made === 'string') throw new Error(made);
    return made;
  }

  return { evaluate, prepare, ask, pushes, replayer };
}

const allowed = (userIDList?: readonly string[], offlinePushInfo?: Record<string, unknown>): Answered => ({
  kind: 'allowed',
  userIDList,
  offlinePushInfo,
});

describe('a handler with before_push', () => {
  test('makes an ask in its own queue and lane, and does not prepare a request yet', async () => {
    const calls: string[] = [];
    const callbacks: Callbacks = {
      shouldMakeReq: () => calls.push('shouldMakeReq') > 0,
      prepareHeaders: () => void calls.push('prepareHeaders') as never,
      prepareBody: () => void calls.push('prepareBody') as never,
    };
    const packet = makePacket();
    const ask = await rigOf(makeHandler(asking, callbacks)).ask(packet);

    expect(calls).toEqual(['shouldMakeReq']);
    expect(ask).toMatchObject({
      id: 'ask1',
      handler: 'push:ask',
      pool: 'business',
      lane: 'ask push alice@localhost bob@localhost',
      target: {
        method: 'POST',
        path: '/callback?command=callbackBeforePushCommand&contenttype=json',
        headers: [
          ['content-type', 'application/json'],
          ['operationID', 'ask1'],
        ],
        purpose: { kind: 'ask', handler: 'push' },
      },
    });
    expect(JSON.parse(String(ask.body))).toMatchObject({ callbackCommand: 'callbackBeforePushCommand', userIDList: ['bob'] });
  });

  test('makes no ask about a packet that it would not push', () => {
    expect(rigOf(makeHandler(asking)).evaluate(makePacket({ direction: 'out' }))).toEqual({ deliveries: [], deadLetters: [] });
    expect(rigOf(makeHandler({ ...asking, when: { type: ['headline'] } })).evaluate(makePacket())).toEqual({
      deliveries: [],
      deadLetters: [],
    });
  });

  test('makes asks without a lane if it has no ordering', async () => {
    expect((await rigOf(makeHandler({ ...asking, ordering: 'none' })).ask()).lane).toBeNull();
  });
});

describe('an answer without receivers', () => {
  test('makes the same push as without an ask, with its own id and the answer', async () => {
    const packet = makePacket();
    const { spawn, failedPackets } = await rigOf(makeHandler(asking)).pushes(allowed(), packet);
    const { deliveries } = await rigOf(makeHandler({ name: 'push' })).evaluate(packet);

    expect(failedPackets).toEqual([]);
    expect(spawn).toEqual([{ ...deliveries[0], id: 'ask1.1', target: { ...deliveries[0]?.target, answered: allowed() } }]);
  });

  test('stores the stanza for a module with callbacks at delivery', async () => {
    const { spawn } = await rigOf(makeHandler(asking, { shouldMakeReq: () => true, buildRequest: () => 0 })).pushes(allowed());
    expect(spawn[0]?.target.stanza).toContain('<message');
  });

  test('has the same result as a failed ask', async () => {
    const { spawn } = await rigOf(makeHandler(asking)).pushes({ kind: 'failed', reason: 'timed-out' });
    expect(spawn).toMatchObject([{ receiver: 'bob@localhost', target: { answered: { kind: 'failed', reason: 'timed-out' } } }]);
  });
});

describe('an answer that names receivers', () => {
  test('distinguishes the occupants of the room of a private message', async () => {
    const stanza =
      "<message xmlns='jabber:client' type='chat' from='bob@localhost/desk' to='tea@rooms.localhost/Al'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>";
    const names = ['tea@rooms.localhost/Al', 'tea@rooms.localhost/Eve', 'carol@localhost/phone'];
    const handler = createHandler(makeHandlerConfig({ ...asking, when: {} }), json);
    const { spawn } = await rigOf(handler).pushes(allowed(names), makePacket({ stanza }));
    expect(spawn.map(({ body }) => JSON.parse(String(body)).to.full)).toEqual([
      'tea@rooms.localhost/Al',
      'tea@rooms.localhost/Eve',
      'carol@localhost',
    ]);
  });

  test('makes a push for each, in their order, each in its own conversation', async () => {
    const { spawn } = await rigOf(makeHandler(asking)).pushes(allowed(['carol', 'Dave@Elsewhere.example/phone', 'carol@localhost']));
    expect(spawn.map(({ id, lane, receiver, body }) => [id, lane, receiver, body])).toEqual([
      [
        'ask1.1',
        'push alice@localhost carol@localhost',
        'carol@localhost',
        'author=alice&server=localhost&receiver=carol&message=Hi%2C+Bob%21',
      ],
      [
        'ask1.2',
        'push alice@localhost dave@elsewhere.example',
        'dave@elsewhere.example',
        'author=alice&server=localhost&receiver=dave&message=Hi%2C+Bob%21',
      ],
    ]);
  });

  test('stores with each push only the user ID of its receiver', async () => {
    const { spawn } = await rigOf(makeHandler(asking)).pushes(allowed(['carol', 'Dave@Elsewhere.example/phone', 'carol@localhost']));
    expect(spawn.map(({ target }) => target.answered)).toEqual([allowed(['carol']), allowed(['Dave@Elsewhere.example/phone'])]);
  });

  test('makes one dead letter if the pushes exceed the size limit', async () => {
    const callbacks: Callbacks = { shouldMakeReq: () => true, prepareBody: () => new Uint8Array(1024 * 1024) };
    const names = Array.from({ length: 65 }, (_, index) => `u${index}`);
    const { spawn, failedPackets } = await rigOf(makeHandler(asking, callbacks)).pushes(allowed(names));
    expect(spawn).toEqual([]);
    expect(failedPackets).toMatchObject([{ id: 'ask1.1', reason: 'overflow', detail: expect.stringContaining('65 receivers') }]);
  });

  test('makes no push for an empty list', async () => {
    expect(await rigOf(makeHandler(asking)).pushes(allowed([]))).toEqual({ spawn: [], failedPackets: [] });
  });

  test('keeps the sessions of the original receiver, and has none for others', async () => {
    const handler = createHandler(makeHandlerConfig({ ...asking, when: {} }), json);
    const packet = makePacket({ direction: 'out', sessions: 0 });
    const { spawn } = await rigOf(handler).pushes(allowed(['bob', 'carol']), packet);
    expect(spawn.map(({ body }) => JSON.parse(String(body)))).toMatchObject([
      { to: { bare: 'bob@localhost' }, sessions: 0 },
      { to: { bare: 'carol@localhost' }, sessions: null },
    ]);
  });

  test.each([[''], ['a b'], ['@localhost'], ['bob/phone'], ['carol@'], ['<x>']])(
    'with an invalid user ID (%j) is not valid',
    async (userId) => {
      const rig = rigOf(makeHandler(asking));
      expect(await rig.prepare(await rig.ask(), allowed(['carol', userId]))).toBe('misnamed');
    },
  );
});

describe('the offlinePushInfo of an answer', () => {
  const info = { title: 'News', desc: 'A message', iOSBadgeCount: true };

  test('is passed to the callbacks', async () => {
    const seen: unknown[] = [];
    const callbacks: Callbacks = {
      shouldMakeReq: () => true,
      prepareHeaders: ({ offlinePushInfo }) => ({ 'x-title': String(offlinePushInfo?.['title']) }),
      prepareBody: ({ offlinePushInfo }) => String(seen.push(offlinePushInfo)),
    };
    const { spawn } = await rigOf(makeHandler(asking, callbacks)).pushes(allowed(undefined, info));
    expect(spawn[0]?.target.headers).toEqual([['x-title', 'News']]);
    expect(seen).toEqual([info]);
  });

  test('is sent by the JSON module, and as CloudEvent', async () => {
    const [plain] = (await rigOf(createHandler(makeHandlerConfig(asking), json)).pushes(allowed(undefined, info))).spawn;
    const [event] = (await rigOf(createHandler(makeHandlerConfig(asking), cloudevents)).pushes(allowed(undefined, info))).spawn;
    expect(JSON.parse(String(plain?.body)).offlinePushInfo).toEqual(info);
    expect(JSON.parse(String(event?.body)).data.offlinePushInfo).toEqual(info);
  });

  test('does not change the form', async () => {
    const { spawn } = await rigOf(makeHandler(asking)).pushes(allowed(undefined, info));
    expect(spawn[0]?.body).toBe('author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21');
  });

  test('is undefined without an ask and after a failed one', async () => {
    const seen: unknown[] = [];
    const callbacks: Callbacks = { shouldMakeReq: () => true, prepareBody: ({ offlinePushInfo }) => String(seen.push(offlinePushInfo)) };
    await rigOf(makeHandler({ name: 'push' }, callbacks)).evaluate(makePacket());
    await rigOf(makeHandler(asking, callbacks)).pushes({ kind: 'failed', reason: 'broken' });
    expect(seen).toEqual([undefined, undefined]);
  });
});

describe('a callback that fails after the answer', () => {
  const failing: Callbacks = {
    shouldMakeReq: () => true,
    prepareBody: ({ receiver }) => {
      if (receiver === 'carol') throw new Error('no carol');
      return receiver;
    },
  };

  test('makes one dead letter with the packet in place of all pushes', async () => {
    const { spawn, failedPackets } = await rigOf(makeHandler(asking, failing)).pushes(allowed(['bob', 'carol', 'dave']));
    expect(spawn).toEqual([]);
    expect(failedPackets).toMatchObject([{ id: 'ask1.1', handler: 'push', pool: 'http_pool', reason: 'callback-failed' }]);
    expect(failedPackets[0]?.detail).toContain('no carol');
  });

  test('makes a dead letter whose replay asks again, under its own id', async () => {
    const rig = rigOf(makeHandler(asking, failing));
    const [letter] = (await rig.pushes(allowed(['carol']))).failedPackets;
    const replayed = letter && (await rig.replayer.reevaluate(letter));
    expect(replayed).toMatchObject({ id: 'ask1.1', handler: 'push:ask', pool: 'business', target: { purpose: { kind: 'ask' } } });
    expect(replayed?.target.headers).toContainEqual(['operationID', 'ask1.1']);
  });
});

test('an ask of a handler that is no longer configured makes no push', async () => {
  const ask = await rigOf(makeHandler(asking)).ask(makePacket({ stanza: chat('Hi') }));
  expect(await rigOf(makeHandler({ name: 'other' })).prepare(ask, allowed())).toBe('unknown-handler');
});
