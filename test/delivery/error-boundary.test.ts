import { describe, expect, test } from 'vitest';
import type { Follow } from '../../src/delivery/attempt.ts';
import { toError } from '../../src/kit/errors.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { idOf, makeDelivery } from '../spool/build.ts';
import { answered, type DeliveryRig, startDeliveryRig } from '../support/delivery-rig.ts';
import { createScriptedThreads } from '../support/scripted-threads.ts';

const broken = { kind: 'dead', reason: 'internal-error' };

/** Delivers two deliveries of one lane, the first with an internal error; returns the dead letter of the first. */
async function failFirst(rig: DeliveryRig, answer: Outcome | number = 200) {
  await rig.accept(makeDelivery({ id: 'd1', lane: 'a' }), makeDelivery({ id: 'd2', lane: 'a' }));
  if (rig.open().includes('d1')) await rig.answer('d1', answer);
  expect(rig.open()).toEqual(['d2']);
  await rig.answer('d2', 200);
  expect(rig.dispositions).toEqual(['d1 dead', 'd2 delivered']);
  const letter = await rig.spool.deadLetter(idOf('d1'));
  return { kind: 'dead', reason: letter?.reason, detail: letter?.detail };
}

const failing = (id: string, fail: () => never): Follow => {
  return ({ attempt }) => (attempt.delivery.id === id ? fail() : undefined);
};
const fail = (): never => {
  throw new RangeError('Maximum call stack size exceeded');
};

describe('an internal error makes one delivery a dead letter and affects no other', () => {
  test('thrown by a step after the response', async () => {
    const rig = await startDeliveryRig({ follow: failing('d1', fail) });
    const kept = await failFirst(rig);
    expect(kept).toMatchObject(broken);
    expect(kept.detail).toMatch(
      /^error while following up its response: RangeError: Maximum call stack size exceeded \(error-boundary.test.ts:\d+:\d+\); please report it$/,
    );
  });

  test('rejected by a step after the response', async () => {
    const rig = await startDeliveryRig({
      follow: ({ attempt }) => (attempt.delivery.id === 'd1' ? Promise.reject({ toString: 1, valueOf: 1 }) : undefined),
    });
    expect(await failFirst(rig)).toMatchObject({ ...broken, detail: expect.stringContaining('a value without a text form was thrown') });
  });

  test('thrown by the classification', async () => {
    const rig = await startDeliveryRig();
    const unknown = { ...answered(503), retryAfter: 17 } as unknown as Outcome;
    expect(await failFirst(rig, unknown)).toMatchObject({
      ...broken,
      detail: expect.stringContaining('error while classifying its response: TypeError'),
    });
  });

  test('thrown by the carrier', async () => {
    const threads = createScriptedThreads();
    const rig = await startDeliveryRig({
      openCarrier: (callbacks) => {
        const carrier = threads.openWith(callbacks);
        return { ...carrier, carry: (attempt, options) => (attempt.delivery.id === 'd1' ? fail() : carrier.carry(attempt, options)) };
      },
    });
    await rig.accept(makeDelivery({ id: 'd1', lane: 'a' }), makeDelivery({ id: 'd2', lane: 'a' }));
    await rig.pass(0);
    expect(rig.dispositions).toEqual(['d1 dead']);
    expect(threads.open.map(({ id }) => id)).toEqual(['d2']);
    expect(rig.dispatcher.inFlight).toBe(1);
    expect(await rig.spool.deadLetter(idOf('d1'))).toMatchObject({ reason: 'internal-error', attempts: 1 });
  });

  test('thrown while its follow-ups are stored', async () => {
    const openSpool = (...deps: Parameters<typeof createMemorySpool>): Spool => {
      const spool = createMemorySpool(...deps);
      return {
        ...spool,
        settle: (settlement, completion) => (settlement.spawn.length > 0 ? fail() : spool.settle(settlement, completion)),
      };
    };
    const spawn = [makeDelivery({ id: 'd1.1' })];
    const follow: Follow = ({ attempt }) =>
      attempt.delivery.id === 'd1' ? Promise.resolve({ disposition: { kind: 'delivered' }, spawn, failedPackets: [] }) : undefined;
    const rig = await startDeliveryRig({ follow, openSpool });
    expect(await failFirst(rig)).toMatchObject({ ...broken, detail: expect.stringContaining('error while storing its disposition') });
  });
});

test('a test request whose response cannot be classified is answered with the reason', async () => {
  const rig = await startDeliveryRig();
  const sent = rig.dispatcher.sendTest(makeDelivery({ id: 't1' }));
  await rig.answer('t1', { ...answered(200), retryAfter: 17 } as unknown as Outcome);
  expect(await sent).toMatchObject({ accepted: false, reason: expect.stringContaining('error while classifying its response') });
});

test.each([[{ toString: 1, valueOf: 1 }], [Object.create(null)], [Symbol('s')], [undefined]])(
  'any thrown value becomes an error (%#)',
  (thrown) => {
    expect(toError(thrown)).toBeInstanceOf(Error);
  },
);
