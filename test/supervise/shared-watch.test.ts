import { expect, test } from 'vitest';
import { createWatchMemory, runningCallback, SharedWatch, type Strike } from '../../src/supervise/shared-watch.ts';

const handlers = ['first', 'second'];

function watchOf(memory: SharedArrayBuffer, strikes: readonly Strike[] = []): SharedWatch {
  const watch = new SharedWatch(memory, strikes);
  watch.addHandlers(handlers);
  return watch;
}

test('shows the running handler and its packet', () => {
  const memory = createWatchMemory();
  const watch = watchOf(memory);
  expect(runningCallback(memory, handlers)).toBeUndefined();
  watch.entering('second', 'localhost/n1/e1/7');
  expect(runningCallback(memory, handlers)).toMatchObject({ handler: 'second', packetKey: 'localhost/n1/e1/7' });
  watch.left();
  expect(runningCallback(memory, handlers)).toBeUndefined();
});

test('distinguishes two calls for the same packet', () => {
  const memory = createWatchMemory();
  const watch = watchOf(memory);
  watch.entering('first', 'k');
  const before = runningCallback(memory, handlers)?.call;
  watch.left();
  watch.entering('first', 'k');
  expect(runningCallback(memory, handlers)?.call).not.toBe(before);
});

test('shortens a key that is too long', () => {
  const memory = createWatchMemory();
  watchOf(memory).entering('first', 'k'.repeat(5000));
  expect(runningCallback(memory, handlers)?.packetKey).toBe('k'.repeat(1024));
});

test('a later handler has its name only in the new list of names, and no name in an older list', () => {
  const memory = createWatchMemory();
  const watch = watchOf(memory);
  const later = watch.addHandlers(['third', 'second']);
  expect(later).toEqual(['first', 'second', 'third']);
  watch.entering('third', 'k');
  expect([runningCallback(memory, handlers)?.handler, runningCallback(memory, later)?.handler]).toEqual(['unknown', 'third']);
  watch.left();
  watch.entering('second', 'k');
  expect([runningCallback(memory, handlers)?.handler, runningCallback(memory, later)?.handler]).toEqual(['second', 'second']);
});

test('a handler is skipped for a packet after three strikes, but not for other packets', () => {
  const strikes = [
    { handler: 'first', packetKey: 'a', count: 3 },
    { handler: 'first', packetKey: 'b', count: 2 },
  ];
  const watch = watchOf(createWatchMemory(), strikes);
  expect([watch.struckOut('first', 'a'), watch.struckOut('second', 'a'), watch.struckOut('first', 'b')]).toEqual([true, false, false]);
});
