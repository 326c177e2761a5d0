import { expect, test } from 'vitest';
import { createAdminClient } from '../../src/cli/admin-client.ts';
import { replayShares } from '../../src/cli/replay-shares.ts';
import { startAdminRig } from '../support/admin-rig.ts';

/** Replays over a real listener; between shares the test does what it likes. */
async function startReplaying() {
  const rig = await startAdminRig();
  const client = createAdminClient(new URL(`http://127.0.0.1:${rig.port}`), undefined);
  const shares: string[][] = [];
  const { operations } = rig;
  const { replay } = operations;
  operations.replay = (filter, limit) => {
    shares.push([...(filter.ids ?? [])]);
    return replay(filter, limit);
  };
  return { ...rig, client, shares };
}

const all = { all: true } as const;
const on = async (): Promise<boolean> => true;

test('asks for a share at a time, the oldest first', async () => {
  const { client, shares, die } = await startReplaying();
  for (const id of ['a', 'b', 'c', 'd', 'e']) await die({ id });
  const limit = Number.POSITIVE_INFINITY;
  expect(await replayShares(client, all, { rate: 2, limit, nextShare: on })).toEqual({ count: 5, failed: 0, whole: true });
  expect(shares).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
});

test('does not replay what dies, or dies again, while it goes on', async () => {
  const { client, shares, die, spool } = await startReplaying();
  for (const id of ['a', 'b']) await die({ id });
  await replayShares(client, all, {
    rate: 1,
    limit: 10,
    nextShare: async () => {
      await die({ id: 'a' });
      await die({ id: 'late' });
      return true;
    },
  });
  expect(shares).toEqual([['a'], ['b']]);
  expect((await spool.deadLetters({}, { limit: 10 })).map(({ id }) => id)).toEqual(['a', 'late']);
});

test('ends well with the last dead letter of a handler that is no longer configured', async () => {
  const { client, shares, die } = await startReplaying();
  for (const id of ['a', 'b']) await die({ id, handler: 'gone' });
  const selection = { filter: { handler: 'gone' } };
  expect(await replayShares(client, selection, { rate: 1, limit: 10, nextShare: on })).toEqual({ count: 2, failed: 0, whole: true });
  expect(shares).toEqual([['a'], ['b']]);
});

test('passes by those that stay dead, though they died at the same instant', async () => {
  const { client, shares, die, addFailedPacket, clock } = await startReplaying();
  for (const id of ['s1', 's2', 's3']) {
    await addFailedPacket({ id });
    clock.advance(-1000);
  }
  await die({ id: 'a' });
  await die({ id: 'b' });
  expect(await replayShares(client, all, { rate: 1, limit: 10, nextShare: on })).toEqual({ count: 2, failed: 3, whole: true });
  expect(shares).toEqual([['s1'], ['s2'], ['s3'], ['a'], ['b']]);
});

test('ends at its limit, and when it is stopped', async () => {
  const { client, shares, die } = await startReplaying();
  for (const id of ['a', 'b', 'c', 'd']) await die({ id });
  expect(await replayShares(client, all, { rate: 2, limit: 3, nextShare: on })).toEqual({ count: 3, failed: 0, whole: true });
  expect(shares).toEqual([['a', 'b'], ['c']]);
  await die({ id: 'e' });
  expect(await replayShares(client, all, { rate: 1, limit: 10, nextShare: async () => false })).toEqual({
    count: 1,
    failed: 0,
    whole: false,
  });
});

test('takes ids as they come, and only those that the filter means too', async () => {
  const { client, shares, die } = await startReplaying();
  for (const id of ['a', 'b', 'c']) await die({ id, handler: id === 'b' ? 'alerts' : 'push' });
  const selection = { ids: ['c', 'b', 'nobody', 'a'], filter: { handler: 'push' } };
  expect(await replayShares(client, selection, { rate: 2, limit: 10, nextShare: on })).toEqual({ count: 2, failed: 0, whole: true });
  expect(shares).toEqual([
    ['c', 'b'],
    ['nobody', 'a'],
  ]);
});
