import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import * as cloudevents from '../../src/hooks/builtin/cloudevents.ts';
import * as json from '../../src/hooks/builtin/json.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { createContexts } from '../../src/hooks/context.ts';
import { createHandler } from '../../src/hooks/create-handler.ts';
import { type EvaluationOptions, Evaluator, HandlerEvaluator } from '../../src/hooks/evaluate.ts';
import type { LoadedHandler } from '../../src/hooks/handler.ts';
import { HandlerIndex } from '../../src/hooks/handler-index.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import type { Packet } from '../../src/model/packet.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { effort } from '../sources/fuzz/effort.ts';
import { arbitraryPacket, arbitraryWhen } from '../support/arbitrary-rules.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { makeHandler, makeHandlerConfig } from '../support/make-handler.ts';
import { makePacket } from '../support/make-packet.ts';

const found = (handlers: readonly LoadedHandler[], packet: Packet) =>
  new HandlerIndex(handlers).find(packet).map(({ config }) => config.name);
const message = (attrs: string) => makePacket({ stanza: `<message xmlns='jabber:client' ${attrs}><body>Hi</body></message>` });
const numbered = (make: (index: number) => When) =>
  Array.from({ length: 1000 }, (_, index) => makeHandler({ name: `${index}`, when: make(index) }));

test.each([
  ['sender', numbered((index) => ({ from: [`user${index}@localhost`] })), message("from='user7@localhost/a' to='bob@localhost'")],
  ['receiver', numbered((index) => ({ to: ['x@y', `USER${index}@localhost`] })), message("from='bob@localhost' to='user7@localhost'")],
  [
    'the rarer of sender and receiver',
    numbered((index) => ({ from: ['bot@localhost'], to: [`user${index}@localhost`] })),
    message("from='bot@localhost' to='user7@localhost'"),
  ],
])('a packet finds one of a thousand handlers by its %s', (_, handlers, packet) => {
  expect(found(handlers, packet)).toEqual(['7']);
});

test.each<[string, When, LoadedHandler]>([
  ['direction', { direction: ['out'] }, makeHandler({ name: 'other', when: { direction: ['in'] } })],
  ['stanza', { stanza: ['iq'] }, makeHandler({ name: 'other', when: { stanza: ['message'] } })],
  ['type', { type: ['groupchat'] }, makeHandler({ name: 'other', when: { type: ['chat'] } })],
  ['kind', { kind: ['receipt'] }, makeHandler({ name: 'other', when: { kind: ['message'] } })],
  ['event', { event: ['status', 'offline'] }, makeHandler({ name: 'other', when: { event: ['chat'] } })],
  ['the default module', { direction: ['out'], type: ['chat'] }, makeHandler({ name: 'other' })],
])('a packet does not find the handlers of another %s', (_, when, other) => {
  const handlers = [...numbered(() => when), other];

  expect(found(handlers, makePacket())).toEqual(['other']);
});

test('handlers whose alternatives list all senders are found by them', () => {
  const handlers = numbered((index) => ({ any: [{ from: [`user${index}@localhost`] }, { from: ['x@y'], text: ['a*'] }] }));
  expect(found(handlers, message("from='user7@localhost/a' to='bob@localhost'"))).toEqual(['7']);
});

test('a packet does not find a handler whose rules exclude its shape, and finds one that may exclude only its text', () => {
  const handlers = [
    makeHandler({ name: 'shape', when: { not: { type: ['chat'] } } }),
    makeHandler({ name: 'text', when: { not: { type: ['chat'], text: ['Hi*'] } } }),
    makeHandler({ name: 'alternatives', when: { any: [{ type: ['groupchat'] }, { stanza: ['iq'], text: ['a'] }] } }),
  ];
  expect(found(handlers, makePacket())).toEqual(['text']);
});

test('an offline message finds its handler after packets of other directions and stanzas', () => {
  const index = new HandlerIndex([makeHandler({ when: { event: ['offline'] } })]);
  const presence = makePacket({ direction: 'out', stanza: "<presence xmlns='jabber:client'/>", event: 'chat', sessions: 0 });

  const counts = [makePacket({ sessions: 0 }), presence, makePacket({ direction: 'out', sessions: 0 })].map(
    (packet) => index.find(packet).length,
  );

  expect(counts).toEqual([0, 0, 1]);
});

test('handlers stay in their order, however they are found', () => {
  const rules: readonly When[] = [
    { to: ['bob@localhost'] },
    {},
    { from: ['alice@localhost'] },
    { to: ['b*'] },
    { from: ['alice@localhost'] },
  ];
  const handlers = rules.map((when, index) => makeHandler({ name: `${index}`, when }));

  expect(found(handlers, makePacket())).toEqual(['0', '1', '2', '3', '4']);
});

test('a JID that is the name of an object property finds only its own handlers', () => {
  const handlers = [
    makeHandler({ name: 'other', when: { from: ['x@localhost'] } }),
    makeHandler({ name: 'own', when: { from: ['__proto__'] } }),
  ];

  expect(found(handlers, message("from='__proto__' to='constructor@localhost'"))).toEqual(['own']);
  expect(found(handlers, message("from='constructor' to='constructor@localhost'"))).toEqual([]);
});

test('a prepared glob with a wildcard is no JID', () => {
  expect(found([makeHandler({ name: 'all', when: { from: ['＊@localhost'] } })], makePacket())).toEqual(['all']);
});

const clock = createFakeClock();
const options: EvaluationOptions = {
  limits: { timeoutMs: 1000, blockTimeoutMs: 1000 },
  watch: unwatched,
  clock,
  newId: () => 'delivery' as DeliveryId,
  events: createEventBus(),
};

/** The names of the handlers that push a packet: all are evaluated, one after the other. */
async function pushedByLoop(handlers: readonly LoadedHandler[], packet: Packet): Promise<readonly string[]> {
  const evaluator = new HandlerEvaluator(options);
  const context = createContexts()(packet);
  const names: string[] = [];
  for (const handler of handlers.filter(({ config }) => config.hosts.includes(packet.host))) {
    const result = await evaluator.evaluate(handler, context);
    if (result.kind === 'request') names.push(result.delivery.handler);
    if (result.kind === 'failed') names.push(`${result.failedPacket.handler} failed`);
  }
  return names;
}

const modules = [undefined, json, cloudevents, {}, { shouldMakeReq: () => true }];

const handlers = fc
  .array(
    fc.record({
      when: fc.option(arbitraryWhen, { nil: undefined, freq: 4 }),
      module: fc.constantFrom(...modules),
      respectHints: fc.boolean(),
      hosts: fc.constantFrom(['localhost'], ['localhost', 'other'], ['other']),
    }),
    { maxLength: 12 },
  )
  .map((all) =>
    all.map(({ module, ...given }, index) => {
      const config = { ...given, name: `${index}` };
      if (module === json || module === cloudevents) return createHandler(makeHandlerConfig(config), module);
      return makeHandler(config, module);
    }),
  );

const packets = fc.array(arbitraryPacket, { minLength: 1, maxLength: 20 });

test('packets reach the same handlers as without an index, in the same order, also after a reload', async () => {
  await fc.assert(
    fc.asyncProperty(handlers, handlers, packets, async (first, second, all) => {
      const evaluator = new Evaluator({ ...options, handlers: first });
      for (const served of [first, second]) {
        evaluator.swap(served);
        for (const packet of all) {
          const { deliveries, deadLetters } = await evaluator.evaluate(packet);
          const names = [...deliveries.map(({ handler }) => handler), ...deadLetters.map(({ handler }) => `${handler} failed`)];
          expect(names).toEqual(await pushedByLoop(served, packet));
        }
      }
    }),
    effort(500),
  );
});
