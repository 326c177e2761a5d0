import { describe, expect, test } from 'vitest';
import { costBytes, DeliveryBuffer, PoolUsage } from '../../src/delivery/delivery-buffer.ts';
import type { Claimed } from '../../src/model/delivery.ts';
import { makeDelivery } from '../spool/build.ts';

const claimed = (id: string, body = ''): Claimed => ({
  ...makeDelivery({ id, body }),
  seq: 1,
  attempts: 0,
  failingSince: undefined,
  context: {},
});
const cost = costBytes(makeDelivery({ body: '' }));

describe('the buffer of a queue', () => {
  test('returns deliveries first in, first out', () => {
    const buffer = new DeliveryBuffer({ slots: 4, bytes: 1e6 });
    for (const id of ['a', 'b', 'c']) buffer.put(claimed(id));
    expect(buffer.size).toBe(3);
    expect([buffer.take('fresh')?.id, buffer.take('fresh')?.id, buffer.take('fresh')?.id, buffer.take('fresh')]).toEqual([
      'a',
      'b',
      'c',
      undefined,
    ]);
  });

  test('counts reservations until they are released', () => {
    const buffer = new DeliveryBuffer({ slots: 4, bytes: 1e6 });
    const delivery = makeDelivery();
    buffer.put(claimed('a'));
    expect(buffer.reserve(delivery)).toBe(true);
    expect(buffer.free).toBe(2);
    buffer.release(delivery);
    expect(buffer.free).toBe(3);
  });

  test('reserves at most half of its slots and bytes, so that a slow commit leaves capacity for the spool', () => {
    const few = new DeliveryBuffer({ slots: 4, bytes: 1e6 });
    expect([1, 2, 3].map(() => few.reserve(makeDelivery()))).toEqual([true, true, false]);
    expect(few.free).toBe(2);

    const small = new DeliveryBuffer({ slots: 100, bytes: 4 * cost });
    expect([1, 2, 3].map(() => small.reserve(makeDelivery({ body: '' })))).toEqual([true, true, false]);
    expect(small.reserve(makeDelivery({ body: 'x'.repeat(1e6) }))).toBe(false);
    expect(small.freeBytes).toBe(2 * cost);
  });

  test('has no free slot when its bytes are used up', () => {
    const buffer = new DeliveryBuffer({ slots: 100, bytes: 5000 });
    buffer.put(claimed('large', 'x'.repeat(6000)));
    expect([buffer.free, buffer.freeBytes]).toEqual([0, 0]);
    expect(buffer.reserve(makeDelivery())).toBe(false);
    buffer.take('fresh');
    expect([buffer.free, buffer.freeBytes]).toEqual([100, 5000]);
  });

  test('holds claimed deliveries even beyond its limits', () => {
    const buffer = new DeliveryBuffer({ slots: 1, bytes: 1e6 });
    buffer.put(claimed('a'));
    buffer.put(claimed('b'));
    expect([buffer.size, buffer.free]).toEqual([2, 0]);
  });

  test('keeps retries apart from first attempts', () => {
    const buffer = new DeliveryBuffer({ slots: 4, bytes: 1e6 });
    buffer.put({ ...claimed('failed'), attempts: 1 });
    expect([buffer.has('fresh'), buffer.has('retry')]).toEqual([false, true]);
    buffer.put(claimed('new'));
    expect([buffer.take('fresh')?.id, buffer.take('retry')?.id, buffer.size]).toEqual(['new', 'failed', 0]);
  });

  test('uses half of what idle buffers of the pool leave free, and keeps its equal share when another is full', () => {
    const pool = new PoolUsage({ slots: 1000, bytes: 1e9 });
    const own = { slots: 1, bytes: 1e6 };
    const [busy, late] = [new DeliveryBuffer(own, pool), new DeliveryBuffer(own, pool)];
    expect(busy.free).toBe(500);
    for (let count = 0; count < 1000; count += 1) busy.put(claimed('a'));
    expect([busy.free, late.free]).toEqual([0, 1]);
    while (busy.take('fresh') !== undefined);
    expect([busy.free, late.free]).toEqual([500, 500]);
    expect(pool).toMatchObject({ used: { slots: 0, bytes: 0 } });
  });
});
