/** SQLite refuses a fraction in an integer column, which a defect of the service could pass to it. */
import { expect, test } from 'vitest';
import { appendParts } from '../../src/delivery/error-boundary.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, idOf, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from './build.ts';
import { createSqliteRig } from './sqlite-rig.ts';

const fraction = acceptedAt + 0.5;
const refused = { code: 'SPOOL_ROW_REFUSED', message: expect.stringContaining('the spool cannot store it') };

test('a value that SQLite refuses rejects its own entry, and no other entry of the batch', async () => {
  await using rig = await createSqliteRig();
  const failures: Error[] = [];
  const spool = await rig.started({ onFailed: (error) => failures.push(error) });
  const results = await Promise.allSettled([
    appendTo(spool, makeEntry([makeDelivery({ id: 'd1' })])),
    appendTo(spool, makeEntry([makeDelivery({ id: 'd2' }), makeDelivery({ id: 'd3', seenAt: fraction })])),
    appendTo(spool, makeEntry([makeDelivery({ id: 'd4' })], { take: true })),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(results[1]).toMatchObject({ reason: refused });
  expect(results[2]).toMatchObject({ value: [{ id: 'd4' }] });

  const wanted = { handlers: [makeDelivery().handler], limit: 10, bytes: 1e6, now: acceptedAt };
  const { claimed } = await claimFrom(spool, makeDelivery().pool, wanted);
  expect(claimed.map(({ id }) => id)).toEqual(['d1']);
  expect(spool.stats().depths).toMatchObject([{ waiting: 2, dead: 0 }]);
  expect(failures).toEqual([]);
});

test('a settlement that SQLite refuses leaves the delivery claimed, and the rest of the batch is settled', async () => {
  await using rig = await createSqliteRig();
  const spool = await rig.started();
  const claimed = await appendTo(spool, makeEntry([makeDelivery({ id: 'd1' }), makeDelivery({ id: 'd2' })], { take: true }));
  const [first = 0, second = 0] = claimed.map(({ seq }) => seq);
  const retry = { kind: 'retry', notBefore: fraction, leaveLane: false, context: {} } as const;
  const results = await Promise.allSettled([
    settleIn(spool, makeSettlement(first, retry)),
    settleIn(spool, makeSettlement(second, { kind: 'delivered' })),
  ]);
  expect(results).toMatchObject([{ status: 'rejected', reason: refused }, { status: 'fulfilled' }]);
  await settleIn(spool, makeSettlement(first, { kind: 'delivered' }));
  expect(spool.stats().depths).toMatchObject([{ waiting: 0 }]);
});

test('the valid parts of a refused entry are stored with its mark, and the others become dead letters', async () => {
  await using rig = await createSqliteRig();
  const spool = await rig.started();
  const mark = { attachment: 'chat', host: 'localhost', node: 'n', epoch: 'e', h: 7 };
  const entry = makeEntry([makeDelivery({ id: 'd1', seenAt: fraction }), makeDelivery({ id: 'd2' })], {
    mark,
    take: true,
    deadLetters: [makeFailedPacket({ id: 's1' }), makeFailedPacket({ id: 's2', seenAt: fraction })],
  });
  await appendTo(spool, entry).catch((thrown) => appendParts(spool, entry, { thrown, now: acceptedAt }));
  const { claimed } = await claimFrom(spool, 'pool', { handlers: ['push'], limit: 9, bytes: 9, now: acceptedAt });
  expect(claimed).toMatchObject([{ id: 'd2' }]);
  expect(await spool.marks()).toEqual([mark]);

  const letters = await spool.deadLetters({}, { limit: 10 });
  expect(letters.map(({ id, reason }) => [id, reason])).toEqual([
    ['d1', 'internal-error'],
    ['s1', makeFailedPacket().reason],
    ['s2', 'internal-error'],
  ]);
  expect(await spool.deadLetter(idOf('d1'))).toMatchObject({
    detail: expect.stringContaining('error while storing it: ServiceError: the spool cannot store it'),
  });
});

test.each(['sqlite', 'memory'])(
  'a refused settlement delays those behind it in its lane, and they are stored with its dead letter (%s)',
  async (engine) => {
    await using rig = await createSqliteRig();
    const events = createEventBus();
    const spool = engine === 'sqlite' ? rig.make({ events }) : createMemorySpool({ clock: systemClock, events });
    await spool.start();
    const lane = 'lane';
    const claimed = await appendTo(spool, makeEntry([makeDelivery({ id: 'd1', lane }), makeDelivery({ id: 'd2', lane })], { take: true }));
    const [first = 0, second = 0] = claimed.map(({ seq }) => seq);
    const retry = { kind: 'retry', notBefore: fraction, leaveLane: true, context: {} } as const;
    const dead = { kind: 'dead', reason: 'internal-error', detail: '' } as const;
    const batches: number[] = [];
    events.on('spool.committed', ({ commands }) => batches.push(commands));
    await Promise.all([
      settleIn(spool, makeSettlement(first, retry)).catch(() => settleIn(spool, makeSettlement(first, dead))),
      settleIn(spool, makeSettlement(second, { kind: 'delivered' })),
    ]);
    expect(batches).toEqual([2, 2]);
    expect(spool.stats().depths).toMatchObject([{ waiting: 0, dead: 1 }]);
    await spool.stop();
  },
);
