/** One task of the backlog's bench in a process of its own, so that its memory is known. */
import { readFileSync } from 'node:fs';
import { createSqliteSpool } from '../../dist/src/spool/sqlite/spool.js';
import { systemClock } from '../../src/kit/clock.ts';
import { systemTimers } from '../../src/kit/timers.ts';
import type { Claimed, NewDelivery, Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/event-bus.ts';
import { makeConfig, makeDelivery, makeEntry, makeSettlement } from '../spool/build.ts';

export interface BacklogTask {
  /** `drain` claims and settles what waits, `fill` lets it wait, `pass` lets it through with nothing waiting. */
  readonly kind: 'drain' | 'fill' | 'pass';
  readonly path: string;
  readonly count: number;
}

export interface BacklogReport {
  readonly startMs: number;
  readonly perSecond: number;
  readonly residentBytes: number;
  readonly fileBytes: number;
}

/** Claimed at once: a dispatcher of 50 workers has so many places. */
const places = 400;
const conversations = 200;
const body = `author=user1&server=localhost&receiver=peer1&message=${'some words, as people write them. '.repeat(10)}`;

const task: BacklogTask = JSON.parse(process.argv[2] ?? '{}');
const spool: Spool = createSqliteSpool(makeConfig(task.path, { maxBytes: 1024 ** 4 }), {
  clock: systemClock,
  events: createEventBus(),
  timers: systemTimers,
  onFailed: (error: Error) => {
    throw error;
  },
});
const began = performance.now();
await spool.start();
const first = task.kind === 'drain' ? await claim(places) : [];
const startMs = performance.now() - began;

const work = { drain, fill, pass }[task.kind];
const workBegan = performance.now();
await work(task.count);
const perSecond = Math.round((task.count / (performance.now() - workBegan)) * 1000);
const report: BacklogReport = { startMs, perSecond, residentBytes: mostResident(), fileBytes: spool.stats().bytes };
await spool.stop();
process.send?.(report);

async function claim(limit: number): Promise<readonly Claimed[]> {
  const wanted = { handlers: ['push'], limit, bytes: 16 * 1024 ** 2, now: Date.now() };
  return (await spool.claim('pool', wanted)).claimed;
}

/** Every other one is in one of a few long conversations. */
function delivery(index: number): NewDelivery {
  const lane =
    index % 2 === 0 ? `push user${(index / 2) % conversations}@localhost peer@localhost` : `push single${index}@localhost peer@localhost`;
  return makeDelivery({ id: `01a2019b-5df8-7001-9297-${index}`, lane, body, createdAt: Date.now() });
}

async function fill(count: number): Promise<void> {
  const atOnce = 5000;
  for (let made = 0; made < count; made += atOnce) {
    await Promise.all(
      Array.from({ length: Math.min(atOnce, count - made) }, (_, index) => spool.append(makeEntry([delivery(made + index)]))),
    );
  }
}

/** As many are appended as are settled at a time. */
async function pass(count: number): Promise<void> {
  let made = 0;
  async function passOn(): Promise<void> {
    while (made < count) {
      made += 1;
      const claimed = await spool.append(makeEntry([makeDelivery({ ...delivery(made), lane: `push single${made}` })], { take: true }));
      for (const { seq } of claimed) await spool.settle(makeSettlement(seq, { kind: 'delivered' }));
    }
  }
  await Promise.all(Array.from({ length: 2 * places }, passOn));
}

/** What is claimed is settled while the next are claimed. */
async function drain(count: number): Promise<void> {
  let claimed = first;
  for (let settled = 0; settled < count; ) {
    settled += claimed.length;
    const settling = claimed.map(({ seq }) => spool.settle(makeSettlement(seq, { kind: 'delivered' })));
    [claimed] = await Promise.all([claim(places), ...settling]);
  }
}

function mostResident(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}
