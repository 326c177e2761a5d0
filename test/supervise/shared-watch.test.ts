import { expect, test } from 'vitest';
import { createSharedWatch, createWatchMemory, lookInside } from '../../src/supervise/shared-watch.ts';

const handlers = ['first', 'second'];

test('shows from outside which handler is being called, and for which packet', () => {
  const memory = createWatchMemory();
  const watch = createSharedWatch(memory, handlers, []);
  expect(lookInside(memory, handlers)).toBeUndefined();
  watch.entering('second', 'localhost/n1/e1/7');
  expect(lookInside(memory, handlers)).toMatchObject({ handler: 'second', packetKey: 'localhost/n1/e1/7' });
  watch.left();
  expect(lookInside(memory, handlers)).toBeUndefined();
});

test('tells two calls for the same packet apart', () => {
  const memory = createWatchMemory();
  const watch = createSharedWatch(memory, handlers, []);
  watch.entering('first', 'k');
  const before = lookInside(memory, handlers)?.call;
  watch.left();
  watch.entering('first', 'k');
  expect(lookInside(memory, handlers)?.call).not.toBe(before);
});

test('cuts a key that is longer than its place', () => {
  const memory = createWatchMemory();
  createSharedWatch(memory, handlers, []).entering('first', 'k'.repeat(5000));
  expect(lookInside(memory, handlers)?.packetKey).toBe('k'.repeat(1024));
});

test('handlers that come later are named with the list that came with them, and never by another’s name before', () => {
  const memory = createWatchMemory();
  const watch = createSharedWatch(memory, handlers, []);
  const later = watch.know(['third', 'second']);
  expect(later).toEqual(['first', 'second', 'third']);
  watch.entering('third', 'k');
  expect([lookInside(memory, handlers)?.handler, lookInside(memory, later)?.handler]).toEqual(['unknown', 'third']);
  watch.left();
  watch.entering('second', 'k');
  expect([lookInside(memory, handlers)?.handler, lookInside(memory, later)?.handler]).toEqual(['second', 'second']);
});

test('a handler is out for a packet after three strikes, and for no other', () => {
  const strikes = [
    { handler: 'first', packetKey: 'a', count: 3 },
    { handler: 'first', packetKey: 'b', count: 2 },
  ];
  const watch = createSharedWatch(createWatchMemory(), handlers, strikes);
  expect([watch.struckOut('first', 'a'), watch.struckOut('second', 'a'), watch.struckOut('first', 'b')]).toEqual([true, false, false]);
});
