import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Callbacks, RequestPrepared } from '../../pools/callbacks.ts';
import { type CallbackWatch, unwatched } from '../../src/hooks/call.ts';
import { packetFromJson } from '../../src/hooks/delivery-factory.ts';
import { type Evaluation, Evaluator } from '../../src/hooks/evaluate.ts';
import type { LoadedHandler } from '../../src/hooks/handler.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import { factsOf, type Packet } from '../../src/model/packet.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { isDeeplyFrozen, readUnfrozen } from '../support/frozen.ts';
import { makeHandler } from '../support/make-handler.ts';
import { chat, makeJid, makePacket } from '../support/make-packet.ts';

const now = Date.UTC(2026, 10, 22, 10, 31);

describe('a handler with the default module', () => {
  test('makes a delivery with a form body of a chat message', () => {
    const { evaluate } = evaluatorOf(makeHandler());
    const packet = makePacket();

    expect(evaluate(packet)).toEqual({
      deadLetters: [],
      deliveries: [
        {
          id: 'delivery-1',
          packetId: packet.id,
          facts: factsOf(packet),
          host: 'localhost',
          handler: 'notifications',
          pool: 'http_pool',
          lane: 'notifications alice@localhost bob@localhost',
          sender: 'alice@localhost',
          receiver: 'bob@localhost',
          target: {
            kind: 'http',
            method: 'POST',
            path: '/webservice/notifications',
            headers: [['content-type', 'application/x-www-form-urlencoded']],
          },
          body: 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21',
          seenAt: packet.time,
          createdAt: now,
        },
      ],
    });
  });

  test('stores the stanza only for a module with callbacks at delivery', () => {
    const { evaluate } = evaluatorOf([makeHandler(), makeHandler({ name: 'own' }, { buildRequest: () => 0 })]);
    const packet = makePacket();

    const targets = atOnce(evaluate(packet)).deliveries.map(({ target }) => target);

    expect(targets).toMatchObject([{ path: '/webservice/notifications' }, { stanza: packet.stanza.xml }]);
    expect(targets[0]).not.toHaveProperty('stanza');
  });

  test.each([
    ['an empty body', { stanza: chat('') }],
    ['no body', { stanza: "<message xmlns='jabber:client' type='chat'><composing xmlns='c'/></message>" }],
    ['no type', { stanza: "<message xmlns='jabber:client'><body>Hi</body></message>" }],
    ['type normal', { stanza: "<message xmlns='jabber:client' type='normal'><body>Hi</body></message>" }],
    ['type groupchat', { stanza: "<message xmlns='jabber:client' type='groupchat'><body>Hi</body></message>" }],
    ['direction out', { direction: 'out' }],
    ['another host', { host: 'elsewhere.example' }],
  ] as const)('makes no request of a message with %s', (_, given) => {
    const { evaluate } = evaluatorOf(makeHandler());

    expect(evaluate(makePacket(given))).toEqual({ deliveries: [], deadLetters: [] });
  });

  test('pushes packets that match its `when`, without another test', () => {
    const { evaluate } = evaluatorOf(makeHandler({ when: { type: ['headline'] } }));

    const headline = atOnce(evaluate(makePacket({ direction: 'out', stanza: "<message xmlns='jabber:client' type='headline'/>" })));
    const chatting = atOnce(evaluate(makePacket()));

    expect(headline.deliveries).toHaveLength(1);
    expect(chatting.deliveries).toHaveLength(0);
  });

  test('runs without the watch and without timing', () => {
    const calls: string[] = [];
    const { evaluate, seen } = evaluatorOf([makeHandler()], watchInto(calls));

    atOnce(evaluate(makePacket()));

    expect(calls).toEqual([]);
    expect(seen['callback.ended']).toEqual([]);
  });
});

describe('a handler with a callback module', () => {
  test('passes the documented fields to its callbacks', () => {
    const given: unknown[] = [];
    const recording = <T>(answer: T) => {
      return (context: unknown): T => {
        given.push(context);
        return answer;
      };
    };
    const callbacks = { shouldMakeReq: recording(true), prepareHeaders: recording({}), prepareBody: recording('') };
    const { evaluate } = evaluatorOf(makeHandler({ options: { lists: ['a'] } }, callbacks));
    const packet = makePacket({ session: 'alice@localhost/phone', stanzaId: 's1', delayed: 0, sessions: 2 });

    atOnce(evaluate(packet));

    const opts = { lists: ['a'], name: 'notifications', poolName: 'http_pool', path: '/notifications', callbackModule: 'own' };
    const shared = { dir: 'in', from: packet.from, to: packet.to, packet: packet.stanza, opts };
    const prepared = { host: 'localhost', message: 'Hi, Bob!', sender: 'alice', receiver: 'bob' };
    expect(given).toMatchObject([shared, { ...shared, ...prepared }, { ...shared, ...prepared }]);
    expect(given[0]).toHaveProperty('acc', {
      id: packet.id,
      time: '2026-11-22T10:30:00.125Z',
      receivedAt: '2026-11-22T10:30:00.250Z',
      host: 'localhost',
      origin: 'chat',
      sessions: 2,
      session: 'alice@localhost/phone',
      stanzaId: 's1',
      delayed: '1970-01-01T00:00:00.000Z',
      event: 'chat',
      kind: 'message',
      metadata: new Map(),
    });
  });

  test('passes the known author of a room message as the sender', () => {
    const stanza =
      "<message xmlns='jabber:client' type='groupchat' from='hall@rooms.localhost/vee' to='bob@localhost'><body>Hi</body></message>";
    const seen: unknown[] = [];
    const prepareBody = ({ acc, host, sender, receiver, from }: RequestPrepared): string => {
      seen.push([acc.room, acc.sender, sender, host, receiver, from.full]);
      return '';
    };
    const { evaluate } = evaluatorOf(makeHandler({ when: { event: ['groupchat'] } }, { prepareBody }));

    atOnce(evaluate(makePacket({ stanza, direction: 'out', sender: makeJid('alice@example.org') })));
    atOnce(evaluate(makePacket({ stanza, direction: 'out' })));

    expect(seen).toEqual([
      ['hall@rooms.localhost', 'alice@example.org', 'alice', 'example.org', 'bob', 'hall@rooms.localhost/vee'],
      ['hall@rooms.localhost', undefined, 'hall', 'rooms.localhost', 'bob', 'hall@rooms.localhost/vee'],
    ]);
  });

  test('without its own `shouldMakeReq` pushes packets that match its `when`', () => {
    const { evaluate } = evaluatorOf(makeHandler({ when: { direction: ['out'] } }, { prepareBody: () => 'text' }));

    expect(atOnce(evaluate(makePacket({ direction: 'out' }))).deliveries.map(({ body }) => body)).toEqual(['text']);
    expect(atOnce(evaluate(makePacket())).deliveries).toEqual([]);
  });

  test('pushes packets that both its `shouldMakeReq` and its `when` accept', () => {
    const handler = makeHandler({ when: { direction: ['in'] } }, { shouldMakeReq: ({ packet }) => packet.text('body') === 'yes' });
    const { evaluate } = evaluatorOf(handler);

    expect(atOnce(evaluate(makePacket({ stanza: chat('yes') }))).deliveries).toHaveLength(1);
    expect(atOnce(evaluate(makePacket({ stanza: chat('no') }))).deliveries).toHaveLength(0);
    expect(atOnce(evaluate(makePacket({ stanza: chat('yes'), direction: 'out' }))).deliveries).toHaveLength(0);
  });
});

describe('the handlers of one packet', () => {
  test('find the `metadata` of earlier handlers, even if these returned promises', async () => {
    const first = makeHandler({ name: 'first' }, { shouldMakeReq: async ({ acc }) => acc.metadata.set('seen', ['first']) !== undefined });
    const second = makeHandler({ name: 'second' }, { prepareBody: ({ acc }) => String(acc.metadata.get('seen')) });
    const { evaluate } = evaluatorOf([first, second]);

    const { deliveries } = await evaluate(makePacket());

    expect(deliveries.map(({ handler, body }) => [handler, body])).toEqual([
      ['first', 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21'],
      ['second', 'first'],
    ]);
  });

  test('are evaluated without a promise if no callback returns one', () => {
    const { evaluate } = evaluatorOf([makeHandler(), makeHandler({}, { prepareBody: () => 'text' })]);

    expect(evaluate(makePacket())).not.toBeInstanceOf(Promise);
  });

  test('cannot change the arguments of the others', () => {
    const spoil = makeHandler({ name: 'spoiler' }, { shouldMakeReq: ({ acc }) => Object.assign(acc, { host: 'spoiled' }) !== undefined });
    const read = makeHandler({ name: 'reader' }, { prepareBody: ({ acc }) => acc.host });
    const { evaluate } = evaluatorOf([spoil, read]);

    const { deliveries, deadLetters } = atOnce(evaluate(makePacket()));

    expect(deliveries.map(({ body }) => body)).toEqual(['localhost']);
    expect(deadLetters.map(({ handler }) => handler)).toEqual(['spoiler']);
  });

  test.each(['shouldMakeReq', 'prepareHeaders', 'prepareBody'] as const)(
    'see a frozen stanza in `%s`, as soon as one is a module of a user',
    (callback) => {
      const frozen: boolean[] = [];
      const results = { shouldMakeReq: true, prepareHeaders: [], prepareBody: '' };
      const look = ({ packet, from, to }: RequestPrepared) => {
        frozen.push([isDeeplyFrozen(packet), Object.isFrozen(from), Object.isFrozen(to)].every(Boolean));
        return results[callback];
      };
      const { evaluate } = evaluatorOf([makeHandler(), makeHandler({ name: 'own' }, { [callback]: look })]);

      atOnce(evaluate({ ...makePacket(), stanza: readUnfrozen(chat('Hi')) }));

      expect(frozen).toEqual([true]);
    },
  );

  test('are given the stanza as it was read if all of them have built-in modules', () => {
    const stanza = readUnfrozen(chat('Hi'));
    atOnce(evaluatorOf([makeHandler(), makeHandler({ name: 'other' })]).evaluate({ ...makePacket(), stanza }));
    expect(Object.isFrozen(stanza)).toBe(false);
  });

  test('are those of the host of the packet, in their order', () => {
    const hosts = (name: string, ...served: string[]) => makeHandler({ name, hosts: served });
    const { evaluate } = evaluatorOf([hosts('a', 'localhost', 'other'), hosts('b', 'other'), hosts('c', 'localhost')]);

    expect(atOnce(evaluate(makePacket())).deliveries.map(({ handler }) => handler)).toEqual(['a', 'c']);
  });
});

describe('a callback that fails', () => {
  const wrong: [string, Callbacks, string][] = [
    ['throws', { shouldMakeReq: () => fail(new Error('no such table')) }, 'shouldMakeReq: no such table'],
    ['throws megabytes of text', { shouldMakeReq: () => fail(new Error('h'.repeat(5e6))) }, `shouldMakeReq: ${'h'.repeat(500)}`],
    ['throws a string', { shouldMakeReq: () => fail('gone') }, 'shouldMakeReq: gone'],
    [
      'throws a value without text',
      { shouldMakeReq: () => fail(Object.create(null)) },
      'shouldMakeReq: a value without a text form was thrown',
    ],
    ['rejects', { prepareHeaders: () => Promise.reject(new Error('no token')) }, 'prepareHeaders: no token'],
    ['returns a value that is not boolean', { shouldMakeReq: () => invalid('yes') }, 'shouldMakeReq: expected true or false, got string'],
    [
      'returns no headers',
      { prepareHeaders: () => invalid(undefined) },
      'prepareHeaders: expected [name, value] pairs or an object, got undefined',
    ],
    [
      'returns a header without a value',
      { prepareHeaders: () => invalid([['x-a']]) },
      'prepareHeaders: expected header 1 to be [name, value], got an array of 1',
    ],
    [
      'returns a number as a header value',
      { prepareHeaders: () => invalid({ 'x-a': 1 }) },
      'prepareHeaders: expected the value of header x-a to be a string, got number',
    ],
    [
      'returns a header name with a space',
      { prepareHeaders: () => [['x a', '1']] },
      'prepareHeaders: the name of header 1 is not a valid HTTP header name',
    ],
    [
      'returns a line break in a header',
      { prepareHeaders: () => ({ 'x-a': '1\r\nx-b: 2' }) },
      'prepareHeaders: the value of header x-a contains a line break',
    ],
    [
      'returns a header value outside Latin-1',
      { prepareHeaders: () => ({ 'x-a': 'ł' }) },
      'prepareHeaders: the value of header x-a contains a character that HTTP does not allow',
    ],
    ['returns an object as the body', { prepareBody: () => invalid({}) }, 'prepareBody: expected a string or a Uint8Array, got object'],
    [
      'returns a promise of an invalid body',
      { prepareBody: async () => invalid(null) },
      'prepareBody: expected a string or a Uint8Array, got null',
    ],
  ];

  test.each(wrong)('and %s makes a dead letter with the packet, without affecting other handlers', async (_, callbacks, detail) => {
    const { evaluate, seen } = evaluatorOf([makeHandler({ name: 'wrong' }, callbacks), makeHandler({ name: 'well' })]);
    const packet = makePacket();

    const { deliveries, deadLetters } = await evaluate(packet);

    expect(deliveries.map(({ handler }) => handler)).toEqual(['well']);
    expect(deadLetters).toMatchObject([{ handler: 'wrong', reason: 'callback-failed', detail, sender: 'alice@localhost' }]);
    expect(deadLetters.map((letter) => packetFromJson(letter.packet).stanza.xml)).toEqual([packet.stanza.xml]);
    expect(seen['callback.failed']).toMatchObject([{ handler: 'wrong', callback: detail.split(':')[0], packetId: packet.id }]);
  });

  test('because it misses its deadline makes a dead letter, also if it settles later', async () => {
    const answer = createDeferred<boolean>();
    const handlers = [makeHandler({ name: 'slow' }, { shouldMakeReq: () => answer.promise }), makeHandler({ name: 'well' })];
    const { evaluate, timers } = evaluatorOf(handlers);

    const evaluation = evaluate(makePacket());
    timers.fire();
    answer.reject(new Error('too late'));
    const { deliveries, deadLetters } = await evaluation;

    expect(deliveries.map(({ handler }) => handler)).toEqual(['well']);
    expect(deadLetters).toMatchObject([{ handler: 'slow', detail: 'shouldMakeReq: no result within 5000 ms' }]);
  });

  test('because it blocks the thread too often is skipped', () => {
    const handler = makeHandler({}, { shouldMakeReq: () => fail(new Error('it was called')) });
    const { evaluate, seen } = evaluatorOf([handler, makeHandler({ name: 'well' })], {
      ...unwatched,
      struckOut: (name, key) => name === 'notifications' && key === 'chat/1',
    });

    const { deliveries, deadLetters } = atOnce(evaluate(makePacket()));

    expect(deliveries.map(({ handler: name }) => name)).toEqual(['well']);
    expect(deadLetters).toMatchObject([{ handler: 'notifications', reason: 'callback-blocked' }]);
    expect(seen['callback.failed']).toMatchObject([{ handler: 'notifications', error: { code: 'CALLBACK_BLOCKED' } }]);
  });

  test('because its rules block the thread too often is skipped, also with a built-in module', () => {
    const { evaluate } = evaluatorOf([makeHandler({ when: { to: ['*'] } })], { ...unwatched, struckOut: () => true });
    expect(atOnce(evaluate(makePacket())).deadLetters).toMatchObject([{ handler: 'notifications', reason: 'callback-blocked' }]);
  });

  test('never changes the deliveries of other handlers, for any result', async () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withTypedArray: true, withSparseArray: true });
    const answer = fc.tuple(anything, fc.constantFrom('returns', 'throws', 'resolves', 'rejects'));

    await fc.assert(
      fc.asyncProperty(
        fc.record({ shouldMakeReq: answer, prepareHeaders: answer, prepareBody: answer }, { requiredKeys: [] }),
        async (answers) => {
          const callbacks = Object.fromEntries(
            Object.entries(answers).map(([name, [value, how]]) => [name, () => invalid(behave(value, how))]),
          );
          const neighbours = [makeHandler({ name: 'before' }), makeHandler({ name: 'after' }, { prepareBody: () => 'text' })] as const;

          const alone = await evaluatorOf(neighbours).evaluate(makePacket());
          const together = await evaluatorOf([neighbours[0], makeHandler({ name: 'wrong' }, callbacks), neighbours[1]]).evaluate(
            makePacket(),
          );

          const others = together.deliveries.filter(({ handler }) => handler !== 'wrong');
          expect(others.map((delivery) => ({ ...delivery, id: '' }))).toEqual(
            alone.deliveries.map((delivery) => ({ ...delivery, id: '' })),
          );
        },
      ),
    );
  });
});

test('every callback of a user’s module is reported to the watch while it runs, and timed', async () => {
  const calls: string[] = [];
  const handler = makeHandler({}, { shouldMakeReq: async () => true, prepareBody: () => String(calls.push('prepareBody runs')) });
  const { evaluate, seen } = evaluatorOf(handler, watchInto(calls));

  await evaluate(makePacket());

  const [enters, leaves] = ['notifications chat/1', 'left'];
  expect(calls).toEqual([enters, leaves, enters, leaves, enters, 'prepareBody runs', leaves]);
  expect(seen['callback.ended']?.map(({ handler: name, callback }) => [name, callback])).toEqual([
    ['notifications', 'shouldMakeReq'],
    ['notifications', 'prepareHeaders'],
    ['notifications', 'prepareBody'],
  ]);
});

test('the rules of a handler are reported to the watch while they are evaluated', () => {
  const calls: string[] = [];
  const ruled = makeHandler({ when: { to: ['*@localhost'] } });
  const { evaluate } = evaluatorOf([ruled, makeHandler({ name: 'without rules' })], watchInto(calls));

  expect(atOnce(evaluate(makePacket())).deliveries).toHaveLength(2);
  expect(calls).toEqual(['notifications chat/1', 'left']);
});

test('bytes are copied when the callback returns them', () => {
  const bytes = Buffer.from('before');
  const { evaluate } = evaluatorOf(makeHandler({}, { prepareBody: () => bytes }));

  const { deliveries } = atOnce(evaluate(makePacket()));
  bytes.fill('x');

  expect(deliveries.map(({ body }) => Buffer.from(body).toString())).toEqual(['before']);
});

test('after a swap new packets get the new handlers, and a packet under evaluation keeps its handlers', async () => {
  const answer = createDeferred<boolean>();
  const evaluator = evaluatorOf([makeHandler({ name: 'waits' }, { shouldMakeReq: () => answer.promise }), makeHandler({ name: 'old' })]);
  const underWay = evaluator.evaluate(makePacket());
  evaluator.swap([makeHandler({ name: 'new' })]);

  expect(atOnce(evaluator.evaluate(makePacket())).deliveries.map(({ handler }) => handler)).toEqual(['new']);
  answer.resolve(true);
  expect((await underWay).deliveries.map(({ handler }) => handler)).toEqual(['waits', 'old']);
});

function evaluatorOf(handlers: LoadedHandler | readonly LoadedHandler[], watch: CallbackWatch = unwatched) {
  const events = createEventBus();
  const seen: Seen = { 'callback.ended': [], 'callback.failed': [] };
  events.on('callback.ended', (event) => seen['callback.ended'].push(event));
  events.on('callback.failed', (event) => seen['callback.failed'].push(event));

  const timers = createFakeTimers();
  let made = 0;
  const evaluator = new Evaluator({
    handlers: [handlers].flat(),
    limits: { timeoutMs: 5000, blockTimeoutMs: 1000 },
    watch,
    clock: createFakeClock(now),
    timers,
    newId: () => `delivery-${++made}` as DeliveryId,
    events,
  });
  return {
    evaluate: (packet: Packet) => evaluator.evaluate(packet),
    swap: (next: readonly LoadedHandler[]) => evaluator.swap(next),
    seen,
    timers,
  };
}

interface Seen {
  readonly 'callback.ended': Events['callback.ended'][];
  readonly 'callback.failed': Events['callback.failed'][];
}

function watchInto(calls: string[]): CallbackWatch {
  return {
    entering: (handler, packetKey) => calls.push(`${handler} ${packetKey}`),
    left: () => calls.push('left'),
    struckOut: () => false,
  };
}

function atOnce(evaluation: ReturnType<Evaluator['evaluate']>): Evaluation {
  if (evaluation instanceof Promise) throw new Error('expected an evaluation without a promise');
  return evaluation;
}

function behave(value: unknown, how: string): unknown {
  if (how === 'throws') throw value;
  if (how === 'rejects') return Promise.reject(value);
  return how === 'resolves' ? Promise.resolve(value) : value;
}

function fail(thrown: unknown): never {
  throw thrown;
}

/** A result that TypeScript would not allow a module to return. */
function invalid(value: unknown): never {
  return value as never;
}
