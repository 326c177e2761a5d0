/**
 * Run as a process of its own: appends to the spool at argv[2] as fast as it can, settles every other delivery, and
 * prints `+ID` when it is appended, `?ID` before it asks to settle it, `-ID` when it is settled. With `purge` as argv[3] it
 * also makes large dead letters and purges them without end, and prints `purged` each time. With `erase` it also adds events of the
 * user argv[4] and erases them without end, and prints `erased` after each transaction.
 */
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createSqliteSpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { appendTo, settleIn } from '../support/spool-promises.ts';
import { makeConfig, makeDelivery, makeEntry, makeSettlement } from './build.ts';

const spool = createSqliteSpool(makeConfig(process.argv[2] ?? ''), {
  clock: systemClock,
  events: createEventBus(),
  timers: systemTimers,
  onFailed: (error) => process.stderr.write(`${error.message}\n`),
  entry: new URL('./spool-thread.mjs', import.meta.url),
});
await spool.start();
process.stdout.write('ready\n');

let made = 0;
const also: Readonly<Record<string, () => Promise<void>>> = { erase: eraseForEver, purge: purgeForEver };
await Promise.all([...Array.from({ length: 64 }, appendForEver), also[process.argv[3] ?? '']?.()]);

async function purgeForEver(): Promise<void> {
  for (;;) {
    const letters = Array.from({ length: 40 }, () => makeDelivery({ id: 'dead', body: 'x'.repeat(300_000) }));
    await appendTo(spool, makeEntry([], { refused: letters.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
    await spool.purgeDead({ diedBefore: Number.MAX_SAFE_INTEGER }, 'age');
    process.stdout.write('purged\n');
  }
}

async function eraseForEver(): Promise<void> {
  const sender = process.argv[4] ?? '';
  for (;;) {
    const mine = Array.from({ length: 1500 }, (_, index) =>
      makeDelivery({ id: 'mine', sender, lane: `lane-${index % 7}`, body: 'x'.repeat(1000) }),
    );
    await appendTo(spool, makeEntry(mine, { refused: mine.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
    for (const table of ['pending', 'dead'] as const) await eraseTable(sender, table);
  }
}

/** Stops after the second transaction, so that some events are left for the erasure after a kill. */
async function eraseTable(jid: string, table: 'dead' | 'pending'): Promise<void> {
  let below = Number.MAX_SAFE_INTEGER;
  for (let part = 0; part < 2; part += 1) {
    const request = { extension: 'erasure', kind: 'chunk', table, jid, dryRun: false, below, before: 0 };
    const { more = 0 } = (await spool.extend(request)) as { readonly more?: number };
    below = more;
    process.stdout.write('erased\n');
  }
}

async function appendForEver(): Promise<void> {
  for (;;) {
    made += 1;
    const delivery = makeDelivery({ id: `d${made}`, lane: made % 3 === 0 ? `lane-${made % 7}` : null });
    const [claimed] = await appendTo(spool, makeEntry([delivery], { take: true }));
    process.stdout.write(`+${delivery.id}\n`);
    if (claimed === undefined || claimed.seq % 2 === 0) continue;
    process.stdout.write(`?${delivery.id}\n`);
    await settleIn(spool, makeSettlement(claimed.seq, { kind: 'delivered' }));
    process.stdout.write(`-${delivery.id}\n`);
  }
}
