import { expect, test } from 'vitest';
import { createWaitingLine } from '../../src/delivery/waiting-line.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('lets through at once who may go while nobody waits', () => {
  const line = createWaitingLine({ timers: createFakeTimers() });
  expect(line.join(() => true)).toBeUndefined();
});

test('lets nobody overtake who waits, and all through in their order once they may go', async () => {
  const timers = createFakeTimers();
  const line = createWaitingLine({ timers });
  const through: string[] = [];
  let open = false;
  void line.join(() => open)?.then(() => through.push('first'));
  void line.join(() => true)?.then(() => through.push('second'));
  await turn();
  expect(through).toEqual([]);
  open = true;
  timers.fire();
  await turn();
  expect(through).toEqual(['first', 'second']);
  expect(line.join(() => true)).toBeUndefined();
});

test('once closed it looks no more', async () => {
  const timers = createFakeTimers();
  const line = createWaitingLine({ timers });
  void line.join(() => false);
  await turn();
  expect(timers.pending).toBe(1);
  line.close();
  expect(timers.pending).toBe(0);
});
