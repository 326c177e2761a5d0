import { expect, test } from 'vitest';
import { AdminClient } from '../../src/cli/admin-client.ts';
import { replayInBatches } from '../../src/cli/replay.ts';
import { startAdminRig } from '../support/admin-rig.ts';

/** A client of a real listener, and the replayed batches. */
async function startRig() {
  const rig = await startAdminRig();
  const client = new AdminClient(new URL(`http://127.0.0.1:${rig.port}`), undefined);
  const batches: string[][] = [];
  const { operations } = rig;
  const { replay } = operations;
  operations.replay = (filter, limit) => {
    batches.push([...(filter.ids ?? [])]);
    return replay(filter, limit);
  };
  return { ...rig, client, batches };
}

const all = { all: true } as const;
const on = async (): Promise<boolean> => true;

test('replays one batch at a time, the oldest first', async () => {
  const { client, batches, die } = await startRig();
  for (const id of ['a', 'b', 'c', 'd', 'e']) await die({ id });
  const limit = Number.POSITIVE_INFINITY;
  expect(await replayInBatches(client, all, { rate: 2, limit, nextBatch: on })).toEqual({ count: 5, failed: 0, whole: true });
  expect(batches).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
});

test('does not replay letters that die during the replay, also again', async () => {
  const { client, batches, die, spool } = await startRig();
  for (const id of ['a', 'b']) await die({ id });
  await replayInBatches(client, all, {
    rate: 1,
    limit: 10,
    nextBatch: async () => {
      await die({ id: 'a' });
      await die({ id: 'late' });
      return true;
    },
  });
  expect(batches).toEqual([['a'], ['b']]);
  expect((await spool.deadLetters({}, { limit: 10 })).map(({ id }) => id)).toEqual(['a', 'late']);
});

test('ends with the last dead letter of a handler that is no longer configured', async () => {
  const { client, batches, die } = await startRig();
  for (const id of ['a', 'b']) await die({ id, handler: 'gone' });
  const selection = { filter: { handler: 'gone' } };
  expect(await replayInBatches(client, selection, { rate: 1, limit: 10, nextBatch: on })).toEqual({ count: 2, failed: 0, whole: true });
  expect(batches).toEqual([['a'], ['b']]);
});

test('skips letters that stay dead, even if they died at the same time', async () => {
  const { client, batches, die, addFailedPacket, clock } = await startRig();
  for (const id of ['s1', 's2', 's3']) {
    await addFailedPacket({ id });
    clock.advance(-1000);
  }
  await die({ id: 'a' });
  await die({ id: 'b' });
  expect(await replayInBatches(client, all, { rate: 1, limit: 10, nextBatch: on })).toEqual({ count: 2, failed: 3, whole: true });
  expect(batches).toEqual([['s1'], ['s2'], ['s3'], ['a'], ['b']]);
});

test('ends at its limit and when it is stopped', async () => {
  const { client, batches, die } = await startRig();
  for (const id of ['a', 'b', 'c', 'd']) await die({ id });
  expect(await replayInBatches(client, all, { rate: 2, limit: 3, nextBatch: on })).toEqual({ count: 3, failed: 0, whole: true });
  expect(batches).toEqual([['a', 'b'], ['c']]);
  await die({ id: 'e' });
  expect(await replayInBatches(client, all, { rate: 1, limit: 10, nextBatch: async () => false })).toEqual({
    count: 1,
    failed: 0,
    whole: false,
  });
});

test('replays ids in the given order, and only those that also match the filter', async () => {
  const { client, batches, die } = await startRig();
  for (const id of ['a', 'b', 'c']) await die({ id, handler: id === 'b' ? 'alerts' : 'push' });
  const selection = { ids: ['c', 'b', 'nobody', 'a'], filter: { handler: 'push' } };
  expect(await replayInBatches(client, selection, { rate: 2, limit: 10, nextBatch: on })).toEqual({ count: 2, failed: 0, whole: true });
  expect(batches).toEqual([
    ['c', 'b'],
    ['nobody', 'a'],
  ]);
});
