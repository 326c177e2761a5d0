/**
 * Run as a process of its own: appends to the spool at argv[2] as fast as it can, settles every other delivery, and
 * prints `+ID` when it is appended, `?ID` before it asks to settle it, `-ID` when it is settled. With `purge` as argv[3] it
 * also makes large dead letters and purges them without end, and prints `purged` each time.
 */
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createSqliteSpool } from '../../src/spool/sqlite/spool.ts';
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
await Promise.all([...Array.from({ length: 64 }, appendForEver), ...(process.argv[3] === 'purge' ? [purgeForEver()] : [])]);

async function purgeForEver(): Promise<void> {
  for (;;) {
    const letters = Array.from({ length: 40 }, () => makeDelivery({ id: 'dead', body: 'x'.repeat(300_000) }));
    await appendTo(spool, makeEntry([], { refused: letters.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
    await spool.purgeDead({ diedBefore: Number.MAX_SAFE_INTEGER }, 'age');
    process.stdout.write('purged\n');
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
