import { describe, expect, test } from 'vitest';
import { type DeliveryCallbacks, DLV_RESPONSE_STATUS, type Message } from '../../../pools/callbacks.ts';
import { createDeferred } from '../../../src/kit/lifecycle.ts';
import type { DispositionKind } from '../../../src/model/attempt.ts';
import { eventually } from '../../support/eventually.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { startTarget } from '../../support/target.ts';

const dispositions: [disposition: DispositionKind, callback: 'disposeDelivery' | 'disposePermfail' | 'disposeTempfail'][] = [
  ['delivered', 'disposeDelivery'],
  ['retry', 'disposeTempfail'],
  ['dead', 'disposePermfail'],
];

/** All three disposers; they record their arguments. */
function createDisposers(dispose: () => unknown = () => undefined) {
  const calls: [name: string, given: readonly unknown[]][] = [];
  const noted =
    (name: string) =>
    (...given: readonly unknown[]) => {
      calls.push([name, given]);
      return dispose();
    };
  const callbacks: DeliveryCallbacks = Object.fromEntries(dispositions.map(([, name]) => [name, noted(name)]));
  return { calls, callbacks };
}

describe.each(['undici', 'got'] as const)('over %s', (client) => {
  test.each(dispositions)('the disposition %s calls %s once, with only the message', async (disposition, callback) => {
    await using target = await startTarget({ script: () => ({ kind: 'answer', status: 503 }) });
    const { calls, callbacks } = createDisposers();
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    const { judgement } = await thread.judge(makeMessageJob({ message: { context: { token: 't' } } }));
    expect(judgement).toMatchObject({ awaitsDisposition: true });
    expect(calls).toEqual([]);
    thread.dispose(1, disposition);
    thread.dispose(1, disposition);
    await eventually(() => calls.length > 0);
    await thread.stop();

    expect(calls.map(([name]) => name)).toEqual([callback]);
    const [[, given] = ['', []]] = calls;
    expect(given).toHaveLength(1);
    const message = given[0] as Message;
    expect(message).toMatchObject({ id: makeMessageJob().id, attempt: 1 });
    expect(message.packet?.text('body')).toBe('Hi');
    expect([message.context.get('token'), message.context.get(DLV_RESPONSE_STATUS)]).toEqual(['t', '503']);
  });

  test('the worker takes its next message after the disposer', async () => {
    await using target = await startTarget();
    const gate = createDeferred<void>();
    const { calls, callbacks } = createDisposers(() => gate.promise);
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    await thread.judge(makeMessageJob({ key: 1 }));
    const second = thread.judge(makeMessageJob({ key: 2 }));
    thread.dispose(1, 'delivered');
    await eventually(() => calls.length === 1);
    expect(target.requests).toHaveLength(1);
    gate.resolve();
    await second;
    thread.dispose(2, 'delivered');

    expect(target.requests).toHaveLength(2);
  });
});

test.each<[string, () => unknown]>([
  [
    'throws',
    () => {
      throw new Error('no log');
    },
  ],
  ['rejects', () => Promise.reject(new Error('no log'))],
  ['never settles', () => new Promise(() => undefined)],
])('a disposer that %s is reported and delays nothing', async (_what, dispose) => {
  await using target = await startTarget();
  const { callbacks } = createDisposers(dispose);
  await using thread = serveSessions(callbacks, { origin: target.origin, settings: { callbackTimeoutMs: 50 } });

  for (const key of [1, 2]) {
    await thread.judge(makeMessageJob({ key }));
    thread.dispose(key, 'delivered');
  }
  await eventually(() => thread.failures.length === 2);

  expect(thread.failures).toMatchObject(Array(2).fill({ handler: 'notifications', callback: 'disposeDelivery', id: makeMessageJob().id }));
});

test('the worker does not wait for the disposition if the module has no disposers', async () => {
  await using target = await startTarget();
  await using thread = serveSessions({ buildRequest: () => undefined }, { origin: target.origin });

  for (const key of [1, 2]) {
    expect((await thread.judge(makeMessageJob({ key }))).judgement).toMatchObject({ awaitsDisposition: false });
  }
});

test('the worker waits if the module has only one disposer, and calls only that one', async () => {
  await using target = await startTarget();
  const dead: string[] = [];
  await using thread = serveSessions({ disposePermfail: ({ id }) => dead.push(id) }, { origin: target.origin });

  for (const [key, disposition] of [
    [1, 'delivered'],
    [2, 'retry'],
    [3, 'dead'],
  ] as const) {
    expect((await thread.judge(makeMessageJob({ key }))).judgement).toMatchObject({ awaitsDisposition: true });
    thread.dispose(key, disposition);
  }
  await eventually(() => dead.length === 1);
});

test('a thread stops even if a disposition never arrives', async () => {
  await using target = await startTarget();
  const { calls, callbacks } = createDisposers();
  const thread = serveSessions(callbacks, { origin: target.origin, settings: { callbackTimeoutMs: 50 } });

  await thread.judge(makeMessageJob({ key: 1 }));
  const queued = thread.judge(makeMessageJob({ key: 2 }));
  await thread.stop();

  expect((await queued).outcome).toMatchObject({ kind: 'answered' });
  expect(calls).toEqual([]);
});

test('dispositions still arrive while the thread stops', async () => {
  await using target = await startTarget();
  const { calls, callbacks } = createDisposers();
  const thread = serveSessions(callbacks, { origin: target.origin });

  await thread.judge(makeMessageJob({ key: 1 }));
  const stopped = thread.stop();
  thread.dispose(1, 'delivered');
  await stopped;

  expect(calls.map(([name]) => name)).toEqual(['disposeDelivery']);
});
