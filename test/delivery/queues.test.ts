import { describe, expect, test } from 'vitest';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { makeDelivery, makeEntry } from '../spool/build.ts';
import { startDeliveryRig } from '../support/delivery-rig.ts';
import { appendTo } from '../support/spool-promises.ts';

const handlers = Array.from({ length: 100 }, (_nothing, index) => `h${index}`);
const numbered = (handler: string, count: number): NewDelivery[] =>
  Array.from({ length: count }, (_nothing, index) => makeDelivery({ id: `${handler}-${index + 1}`, handler, lane: null }));

/** A pool of a hundred handlers, and the queues that it claims from, in order. */
async function startPool({ workers = 10, started = true } = {}) {
  const claims: string[] = [];
  const openSpool: typeof createMemorySpool = (deps) => {
    const spool = createMemorySpool(deps);
    const claim: typeof spool.claim = (pool, request, completion) => {
      claims.push(...request.handlers);
      spool.claim(pool, request, completion);
    };
    return { ...spool, claim };
  };
  return { ...(await startDeliveryRig({ handlers, workers, started, openSpool })), claims };
}

describe('a pool with many handlers', () => {
  test('claims from no queue without deliveries when it starts or is woken', async () => {
    const rig = await startPool({ started: false });
    await appendTo(rig.spool, makeEntry(numbered('h42', 1)));
    await rig.dispatcher.start();
    await rig.pass(0);
    expect([rig.open(), rig.claims]).toEqual([['h42-1'], ['h42']]);
    await appendTo(rig.spool, makeEntry(numbered('h7', 1)));
    rig.dispatcher.wake();
    await rig.pass(0);
    expect(rig.open()).toEqual(['h42-1', 'h7-1']);
    expect(rig.claims).toEqual(['h42', 'h42', 'h7']);
  });

  test('claims the first delivery of each handler when it is stored', async () => {
    const rig = await startPool();
    await rig.accept(...numbered('h3', 1), ...numbered('h99', 1));
    expect([rig.open(), rig.claims]).toEqual([['h3-1', 'h99-1'], []]);
  });

  test('claims a retry that is due, and none that is not', async () => {
    const rig = await startPool();
    await rig.accept(...numbered('h1', 1), ...numbered('h2', 1), ...numbered('h3', 1));
    await rig.answer('h1-1', 503);
    await rig.pass(400);
    await rig.answer('h2-1', 503);
    await rig.pass(600);
    expect([rig.open(), rig.claims]).toEqual([['h3-1', 'h1-1'], ['h1']]);
    await rig.pass(400);
    expect([rig.open(), rig.claims]).toEqual([
      ['h3-1', 'h1-1', 'h2-1'],
      ['h1', 'h2'],
    ]);
    expect(rig.timers.pending).toBe(0);
  });

  test('sends from its queues in turn, whatever their lengths', async () => {
    const rig = await startPool({ workers: 1 });
    await rig.accept(...numbered('h9', 6), ...numbered('h5', 2), ...numbered('h7', 1));
    for (let count = 0; count < 7; count += 1) await rig.answer(rig.open()[0] ?? 'nothing', 200);
    expect(rig.threads.sent.map(({ id }) => id)).toEqual([...['h9-1', 'h9-2', 'h9-3', 'h5-1', 'h7-1', 'h9-4', 'h5-2', 'h9-5', 'h9-6']]);
  });
});
