import { expect, test } from 'vitest';
import { createMemorySpool } from '../../src/spool/open.ts';
import { createRetention } from '../../src/spool/retention.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo } from '../support/spool-promises.ts';
import { acceptedAt, makeEntry, makeFailedPacket } from './build.ts';

interface Wait {
  readonly delayMs: number;
  readonly action: () => void;
}

/** A spool whose retention runs when the test says so. */
async function createRig({ maxAgeMs, maxLetters }: { readonly maxAgeMs: number; readonly maxLetters?: number }) {
  let now = acceptedAt;
  const clock = { now: () => now, monotonic: () => now };
  const events = createEventBus();
  const notices: string[] = [];
  const deleted: string[] = [];
  events.on('spool.deleted', ({ pool, handler, reason, count }) => deleted.push(`${count} of ${pool}/${handler} by ${reason}`));
  events.on('notice', ({ text }) => notices.push(text));
  let committed = 0;
  events.on('spool.committed', ({ commands }) => {
    committed += commands;
  });
  const waits: Wait[] = [];
  const timers = {
    after: (delayMs: number, action: () => void) => {
      waits.push({ delayMs, action });
      return () => void waits.splice(0);
    },
  };
  const spool = createMemorySpool({ clock, events });
  await spool.start();
  return {
    ...{ notices, deleted, waits },
    commits: () => committed,
    retention: createRetention({ spool, maxAgeMs, maxLetters, clock, events, timers }),
    pass: (ms: number) => {
      now += ms;
    },
    /** Runs the retention and waits until it has finished. */
    wake: async () => {
      await eventually(() => waits.length === 1);
      waits.shift()?.action();
      await eventually(() => waits.length === 1);
    },
    bury: (...ids: string[]) => appendTo(spool, makeEntry([], { deadLetters: ids.map((id) => makeFailedPacket({ id })) })),
    left: async () => (await spool.deadLetters({}, { limit: 9999 })).map(({ id }) => id),
  };
}

test('deletes dead letters by age, at the start and periodically, until it is stopped', async () => {
  const { retention, pass, wake, bury, left, waits, deleted } = await createRig({ maxAgeMs: 1000, maxLetters: 9 });
  await bury('old');
  pass(1000);
  await bury('young');
  pass(1);
  await retention.start();
  await eventually(async () => expect(await left()).toEqual(['young']));
  pass(10 * 60_000);
  await wake();
  expect(await left()).toEqual([]);
  expect(deleted).toEqual(['1 of pool/push by age', '1 of pool/push by age']);
  await retention.stop();
  expect(waits).toEqual([]);
});

test('deletes the oldest dead letters above the limit, even if they died together, and reports their number periodically', async () => {
  const { retention, pass, wake, bury, left, notices, deleted } = await createRig({ maxAgeMs: 1e9, maxLetters: 2 });
  await bury(...Array.from({ length: 2500 }, (_, index) => `d${index}`));
  await retention.start();
  await eventually(async () => expect(await left()).toEqual(['d2498', 'd2499']));
  for (const id of ['x', 'y']) {
    await bury(id);
    pass(5000);
    await wake();
  }
  expect(await left()).toEqual(['x', 'y']);
  expect(notices).toEqual([expect.stringContaining('2498 dead letters')]);
  expect(deleted.slice(0, 3)).toEqual(['1000 of pool/push by count', '1000 of pool/push by count', '498 of pool/push by count']);

  pass(10 * 60_000);
  await wake();
  expect(notices.slice(1)).toEqual([expect.stringContaining('2 dead letters')]);
  await retention.stop();
});

test('limits dead letters by age alone if no number is configured', async () => {
  const { retention, pass, wake, bury, left } = await createRig({ maxAgeMs: 1e9 });
  await bury(...Array.from({ length: 3000 }, (_, index) => `d${index}`));
  await retention.start();
  for (let hour = 0; hour < 3; hour += 1) {
    pass(3_600_000);
    await wake();
  }
  expect(await left()).toHaveLength(3000);
  await retention.stop();
});

test('sends no command to the spool while the number is within the limit', async () => {
  const { retention, pass, wake, bury, left, commits } = await createRig({ maxAgeMs: 1e9, maxLetters: 2 });
  await bury('a', 'b');
  await retention.start();
  await wake();
  const before = commits();
  pass(5000);
  await wake();
  expect(commits()).toBe(before);
  expect(await left()).toEqual(['a', 'b']);
  await retention.stop();
});
