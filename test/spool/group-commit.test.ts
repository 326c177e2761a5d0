import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { GroupCommit } from '../../src/spool/sqlite/group-commit.ts';
import type { Answer, Command, Committed } from '../../src/spool/sqlite/protocol.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

const append: Command = ['append', [], [], [], undefined];
const delivered: Command = ['delivered', 1, 16];

/** Keeps the batches instead of sending them to a thread: `commit` answers the last one, `timers.fire` ends a wait. */
function createRig() {
  const clock = createFakeClock();
  const timers = createFakeTimers();
  const batches: (readonly Command[])[] = [];
  const group = new GroupCommit({ clock, timers, post: (commands) => batches.push(commands) });
  const ask = (command: Command, count = 1) => {
    for (let asked = 0; asked < count; asked += 1) group.add({ command, answered: () => undefined, failed: () => undefined });
  };
  const commit = (answer: Answer = null) => {
    const committed: Partial<Committed> = { answers: (batches.at(-1) ?? []).map(() => answer), undone: [], refused: [], closed: '' };
    group.committed(committed as Committed);
  };
  /** Commits a batch, which begins the interval before the next one. */
  const begin = async (command: Command, count = 1, answer: Answer = null) => {
    ask(command, count);
    timers.fire();
    await nextTurn();
    commit(answer);
  };
  const sizes = () => batches.map(({ length }) => length);
  return { ask, begin, clock, commit, group, sizes, timers };
}

test('the first command after a pause is sent in the same turn', async () => {
  const { ask, sizes } = createRig();
  ask(delivered);
  await nextTurn();
  expect(sizes()).toEqual([1]);
});

test('settlements of successful deliveries wait longer than other commands, and are sent with the next of these', async () => {
  const { ask, begin, sizes, timers } = createRig();
  await begin(append);
  ask(delivered, 2);
  expect(timers.waits).toEqual([10]);
  ask(append);
  expect(timers.waits).toEqual([2]);
  timers.fire();
  expect(sizes()).toEqual([1, 3]);
});

test('settlements do not wait longer if there are many, or if more deliveries of their lanes may be on disk', async () => {
  const { ask, begin, timers } = createRig();
  await begin(append);
  ask(delivered, 129);
  expect(timers.waits).toEqual([2]);

  const other = createRig();
  await other.begin(delivered, 1, [[], ['pool']]);
  other.ask(delivered);
  expect(other.timers.waits).toEqual([2]);
  other.timers.fire();
});

test('settlements do not wait longer while the spool is being closed', async () => {
  const { ask, begin, commit, group, sizes, timers } = createRig();
  await begin(append);
  ask(delivered);
  const drained = group.drain(new Error('stopped'));
  expect(timers.waits).toEqual([2]);
  timers.fire();
  commit();
  await drained;
  expect(sizes()).toEqual([1, 1]);
});
