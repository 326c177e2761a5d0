/** For any response of a backend: its delivery ends or is retried, and the next delivery is sent. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bareJidOf } from '../../src/admin/api/bare-jid.ts';
import type { BeforePushConfig, FollowUpConfig } from '../../src/config/config.ts';
import { AskFollow } from '../../src/delivery/ask/follow.ts';
import { createFollowUp } from '../../src/delivery/follow-up/follow-up.ts';
import { AskedPushMaker } from '../../src/hooks/before-push/pushes.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { packetToJson } from '../../src/hooks/delivery-factory.ts';
import { systemTimers } from '../../src/kit/clock.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import type { DeliveryId, HttpTarget, NewDelivery } from '../../src/model/delivery.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { effort, fuzzTimeoutMs } from '../sources/fuzz/effort.ts';
import { makeDelivery } from '../spool/build.ts';
import { createSqliteRig } from '../spool/sqlite-rig.ts';
import { startDeliveryRig } from '../support/delivery-rig.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { makeHandler } from '../support/make-handler.ts';
import { makePacket } from '../support/make-packet.ts';

const beforePush: BeforePushConfig = {
  ...{ queue: 'asked:ask', pool: 'pool', path: '', requestPath: '/ask', timeoutMs: 60_000, form: 'openim-2', onFailure: 'continue' },
};
const followUp: FollowUpConfig = {
  ...{ allow: ['127.0.0.1'], ownOrigin: 'http://127.0.0.1:8000', maxDepth: 3, replyFrom: undefined, defaultHost: undefined },
};
const handlers = [makeHandler({ name: 'push', pool: 'pool', followUp }), makeHandler({ name: 'asked', pool: 'pool', beforePush })];

/** The purpose of a delivery: a push whose response may contain orders, a question before a push, or an ordered request. */
const purposes = {
  push: { handler: 'push' },
  ask: { handler: 'asked:ask', purpose: { kind: 'ask', handler: 'asked', packet: packetToJson(makePacket()) } },
  order: { handler: 'push', purpose: { kind: 'order', origin: 'http://127.0.0.1:8000', depth: 1 } },
} as const;

function deliveryFor(purpose: keyof typeof purposes, id: string, createdAt: number): NewDelivery {
  const { handler, ...rest } = purposes[purpose];
  return makeDelivery<HttpTarget>({ id, handler, createdAt, target: { ...makeDelivery().target, ...rest } });
}

const words = [
  ...['callback', 'payload', 'options', 'data', 'headers', 'host', 'port', 'path', 'method', 'protocol', 'success', 'task', 'messages'],
  ...['to', 'message', 'actionCode', 'nextCode', 'userIDList', 'offlinePushInfo', 'errCode', 'errMsg', 'errDlt'],
  ...['__proto__', 'constructor', 'toString', 'valueOf', 'toJSON', 'length', 'then'],
];
const plain = [
  ...['null', 'true', 'false', '0', '1', '-1', '1e308', '1e999', '9007199254740993', '0.1', '[]', '{}', '""', '"0"', '"1"', '"send"'],
  ...['"POST"', '"GET"', '"127.0.0.1"', '"http:"', '"/"', '"alice"', '"a@b"', '"\\ud800"', '"\\udfff\\u0000"', '"\\r\\n"', '"\u{1F600}"'],
  ...['{"toString":1,"valueOf":1}', '{"toJSON":{}}', '{"then":1}', '{"__proto__":{"toString":1}}', `"${'x'.repeat(20_000)}"`],
];

/** JSON text, generated as text: objects can contain a `__proto__` member, and numbers in forms that JavaScript does not write. */
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...plain) }, { weight: 1, arbitrary: fc.json({ maxDepth: 1, stringUnit: 'binary' }) }),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join()}]`),
    objectOf(tie('value')),
  ),
}));

function objectOf(member: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.array(fc.tuple(fc.constantFrom(...words), member), { maxLength: 6 }).map(written);
}

function written(members: readonly (readonly [name: string, value: string])[]): string {
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${member}`).join()}}`;
}

/** An object with these members, some of them with wrong types. */
function spoilt(members: Readonly<Record<string, fc.Arbitrary<string> | string>>): fc.Arbitrary<string> {
  const entries = Object.entries(members).map(([name, proper]) => {
    const right = typeof proper === 'string' ? fc.constant(proper) : proper;
    return fc.oneof({ weight: 5, arbitrary: right }, { weight: 1, arbitrary: value }).map((member) => [name, member] as const);
  });
  return fc.tuple(...entries).map(written);
}

const options = spoilt({ host: '"127.0.0.1"', port: '8000', method: '"POST"', path: '"/next"', headers: spoilt({ 'x-mine': '"1"' }) });
const followUpAnswer = spoilt({
  callback: spoilt({ options, data: '{"a":1}' }),
  payload: spoilt({ success: 'true', task: '"send"', messages: spoilt({ to: '"bob"', message: '"Hi"' }).map((one) => `[${one}]`) }),
});
const askAnswer = spoilt({
  actionCode: '0',
  nextCode: '0',
  userIDList: '["bob","carol"]',
  offlinePushInfo: '{"title":"T"}',
  errMsg: '"no"',
});

const deep = fc
  .tuple(fc.constantFrom(['[', ']'], ['{"data":', '}']), fc.constantFrom(20, 100, 101, 3000, 80_000), fc.constantFrom(...words))
  .map(([[open, close], levels, name]) =>
    written([
      ['actionCode', '0'],
      [name, `${open?.repeat(levels)}1${close?.repeat(levels)}`],
    ]),
  );
const huge = fc
  .tuple(fc.constantFrom(...plain), fc.constantFrom(...words), fc.constantFrom(...words))
  .map(([item, name, inner]) => written([[name, written([[inner, `[${`${item.slice(0, 50)},`.repeat(3000)}1]`]])]]));

const body = fc
  .tuple(
    fc.constantFrom('', '\uFEFF', '\uFEFF\uFEFF', ' '),
    fc.oneof(followUpAnswer, askAnswer, value, deep, huge, fc.string({ unit: 'binary' })),
  )
  .map((parts) => parts.join(''));

const retryAfter = fc.oneof(
  fc.constantFrom(
    undefined,
    '',
    '0',
    '1.2345',
    '0.0001',
    '9'.repeat(400),
    '-1',
    '1e3',
    'Infinity',
    'NaN',
    '1, 2',
    `${'1'.repeat(9000)}.${'9'.repeat(9000)}`,
  ),
  fc.constantFrom(
    'Fri, 31 Dec 9999 23:59:59 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Mon',
    `Mon${'('.repeat(9000)}`,
  ),
  fc.string({ unit: 'binary' }),
  fc.double().map(String),
  fc.date({ noInvalidDate: false }).map((date) => `Mon ${Number.isNaN(date.getTime()) ? '' : date.toUTCString()}`),
);

/** Without 429, which pauses its handler: see `admission.test.ts`. */
const status = fc
  .oneof(fc.constantFrom(200, 201, 204, 302, 400, 410, 500, 503), fc.integer({ min: 0, max: 999 }))
  .filter((code) => code !== 429);
const outcome: fc.Arbitrary<Outcome> = fc.record({
  kind: fc.constant('answered' as const),
  ...{
    status,
    retryAfter,
    body,
    excerpt: fc.string({ unit: 'binary' }),
    truncated: fc.boolean(),
    durationMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
  },
});

/** A pool dispatcher with the steps after a response, and a spool in a file. The clock does not advance. */
async function startRig() {
  const sqlite = await createSqliteRig();
  const clock = createFakeClock();
  const events = createEventBus();
  const failed = createDeferred<never>();
  failed.promise.catch(() => undefined); // awaited with each delivery
  const limits = { timeoutMs: 5000, blockTimeoutMs: 10_000 };
  const hooks = { limits, watch: unwatched, clock, timers: systemTimers, newId: () => 'unused' as DeliveryId, events };
  const configs = handlers.map(({ config }) => config);
  const { prepare } = new AskedPushMaker({ ...hooks, handlers: () => handlers });
  const follow = [
    new AskFollow({ handlers: () => configs, prepare, events }).follow,
    createFollowUp({ configOf: (name) => configs.find((config) => config.name === name)?.followUp, bareOf: bareJidOf, events }),
  ];
  const rig = await startDeliveryRig({
    ...{ handlers: ['push', 'asked:ask'], askTimeouts: { 'asked:ask': 60_000 }, follow, clock, onFailed: failed.reject },
    openSpool: (deps) => sqlite.make(deps),
  });

  /** Returns the disposition of a delivery after this response. */
  async function settle(delivery: NewDelivery, answer: Outcome): Promise<string> {
    const settled = rig.events.next('delivery.settled', ({ id }) => id === delivery.id);
    await rig.accept(delivery);
    await eventually(() => rig.open().includes(delivery.id));
    await rig.answer(delivery.id, answer);
    return (await Promise.race([settled, failed.promise])).disposition;
  }

  const stop = () => rig.dispatcher.stop({ graceMs: 0, release: false });
  return { settle, now: clock.now, [Symbol.asyncDispose]: () => stop().finally(() => sqlite[Symbol.asyncDispose]()) };
}

test.each(['push', 'ask', 'order'] as const)(
  'any response to a delivery of the kind %s ends or retries it, and the next one is delivered',
  async (purpose) => {
    await using rig = await startRig();
    let count = 0;
    await fc.assert(
      fc.asyncProperty(outcome, async (answer) => {
        count += 1;
        expect(['dead', 'delivered', 'retry']).toContain(await rig.settle(deliveryFor(purpose, `d${count}`, rig.now()), answer));
        const plainAnswer = { kind: 'answered', status: 200, durationMs: 1, retryAfter: undefined, excerpt: '', truncated: false } as const;
        expect(await rig.settle(deliveryFor('push', `n${count}`, rig.now()), plainAnswer)).toBe('delivered');
      }),
      { ...effort(300), endOnFailure: true }, // a failed spool cannot shrink the example
    );
  },
  fuzzTimeoutMs,
);
