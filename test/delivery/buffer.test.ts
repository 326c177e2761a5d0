import { expect, test } from 'vitest';
import { costBytes, createDeliveryBuffer } from '../../src/delivery/buffer.ts';
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

test('gives what came first first', () => {
  const buffer = createDeliveryBuffer({ places: 4, bytes: 1e6 });
  for (const id of ['a', 'b', 'c']) buffer.put(claimed(id));
  expect(buffer.size).toBe(3);
  expect([buffer.take('fresh')?.id, buffer.take('fresh')?.id, buffer.take('fresh')?.id, buffer.take('fresh')]).toEqual([
    'a',
    'b',
    'c',
    undefined,
  ]);
});

test('counts reservations, and has their places again once they are released', () => {
  const buffer = createDeliveryBuffer({ places: 4, bytes: 1e6 });
  const delivery = makeDelivery();
  buffer.put(claimed('a'));
  expect(buffer.reserve(delivery)).toBe(true);
  expect(buffer.room).toBe(2);
  buffer.release(delivery);
  expect(buffer.room).toBe(3);
});

test('reserves half of its places and of its bytes at most, so that a slow commit does not keep out what is owed', () => {
  const few = createDeliveryBuffer({ places: 4, bytes: 1e6 });
  expect([1, 2, 3].map(() => few.reserve(makeDelivery()))).toEqual([true, true, false]);
  expect(few.room).toBe(2);

  const small = createDeliveryBuffer({ places: 100, bytes: 4 * cost });
  expect([1, 2, 3].map(() => small.reserve(makeDelivery({ body: '' })))).toEqual([true, true, false]);
  expect(small.reserve(makeDelivery({ body: 'x'.repeat(1e6) }))).toBe(false);
  expect(small.roomBytes).toBe(2 * cost);
});

test('has no room when its bytes are used up, whatever places are left', () => {
  const buffer = createDeliveryBuffer({ places: 100, bytes: 5000 });
  buffer.put(claimed('large', 'x'.repeat(6000)));
  expect([buffer.room, buffer.roomBytes]).toEqual([0, 0]);
  expect(buffer.reserve(makeDelivery())).toBe(false);
  buffer.take('fresh');
  expect([buffer.room, buffer.roomBytes]).toEqual([100, 5000]);
});

test('holds what is claimed also beyond its bounds', () => {
  const buffer = createDeliveryBuffer({ places: 1, bytes: 1e6 });
  buffer.put(claimed('a'));
  buffer.put(claimed('b'));
  expect([buffer.size, buffer.room]).toEqual([2, 0]);
});

test('keeps what failed before apart from what is fresh', () => {
  const buffer = createDeliveryBuffer({ places: 4, bytes: 1e6 });
  buffer.put({ ...claimed('failed'), attempts: 1 });
  expect([buffer.has('fresh'), buffer.has('retry')]).toEqual([false, true]);
  buffer.put(claimed('new'));
  expect([buffer.take('fresh')?.id, buffer.take('retry')?.id, buffer.size]).toEqual(['new', 'failed', 0]);
});
