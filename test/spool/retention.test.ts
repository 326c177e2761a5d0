import { expect, test } from 'vitest';
import { createMemorySpool } from '../../src/spool/memory/spool.ts';
import { createRetention } from '../../src/spool/retention.ts';
import { createEventBus } from '../../src/telemetry/event-bus.ts';
import { eventually } from '../support/eventually.ts';
import { acceptedAt, makeEntry, makeStillBorn } from './build.ts';

test('ends dead letters at their age, at once and again and again, until it is stopped', async () => {
  let now = acceptedAt;
  const clock = { now: () => now, monotonic: () => now };
  const events = createEventBus();
  const waits: { delayMs: number; action: () => void }[] = [];
  const timers = {
    after: (delayMs: number, action: () => void) => {
      waits.push({ delayMs, action });
      return () => void waits.splice(0);
    },
  };
  const spool = createMemorySpool({ clock, events });
  await spool.start();
  const bury = (id: string) => spool.append(makeEntry([], { deadLetters: [makeStillBorn({ id })] }));
  const left = async () => (await spool.deadLetters({}, { limit: 9 })).map(({ id }) => id);

  await bury('old');
  now += 1000;
  await bury('young');
  now += 1;
  const retention = createRetention({ spool, maxAgeMs: 1000, maxLetters: 9, clock, events, timers });
  await retention.start();
  await eventually(async () => expect(await left()).toEqual(['young']));

  await eventually(() => waits.length === 1);
  now += 10 * 60_000;
  waits.shift()?.action();
  await eventually(async () => expect(await left()).toEqual([]));
  await eventually(() => waits.length === 1);
  await retention.stop();
  expect(waits).toEqual([]);
});
