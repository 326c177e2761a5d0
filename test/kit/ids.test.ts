import { expect, test } from 'vitest';
import { createIdSource } from '../../src/kit/ids.ts';

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('creates UUIDs of version 7 that contain the time', () => {
  const id = createIdSource({ now: () => Date.parse('2026-11-22T00:00:00Z') })();
  expect(id).toMatch(uuidV7);
  expect(Number.parseInt(id.slice(0, 13).replace('-', ''), 16)).toBe(Date.parse('2026-11-22T00:00:00Z'));
});

test('each id is larger than the previous one, at any rate and if the clock goes back', () => {
  let now = 1_000_000;
  const nextId = createIdSource({ now: () => now });
  const ids = Array.from({ length: 10_000 }, (_, index) => {
    if (index % 5000 === 0) now -= 50;
    return nextId();
  });
  expect(ids).toEqual([...new Set(ids)].sort());
  expect(ids.every((id) => uuidV7.test(id))).toBe(true);
});

test('two processes never create the same id', () => {
  const clock = { now: () => 1 };
  expect(createIdSource(clock)()).not.toBe(createIdSource(clock)());
});
