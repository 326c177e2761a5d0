/**
 * For any order of events of the backend, the threads, the process and the wall clock: no accepted delivery is lost or ends
 * twice, a lane keeps its order, no attempt is counted that was not made, and each delivery that may be sent is sent.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { makeConfig, makeDelivery } from '../spool/build.ts';
import { createSqliteRig, type SqliteRig } from '../spool/sqlite-rig.ts';
import { importBuilt } from '../support/built.ts';
import { createDeliveryLedger } from '../support/delivery-ledger.ts';
import { answered, type DeliveryRig, startDeliveryRig } from '../support/delivery-rig.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { type WatchedSpool, watchSpool } from '../support/watched-spool.ts';

// The build: its thread starts fast, and each run starts several.
const { createSqliteSpool } = await importBuilt<typeof import('../../src/spool/open.ts')>('src/spool/open.js');

const scheduleMs = [1000, 5000, 2000];
const budget = scheduleMs.length + 1;

const outcomes = {
  accepts: answered(200),
  refuses: answered(422),
  'is busy': answered(503),
  'asks for 3 s': { kind: 'answered', status: 503, durationMs: 3, retryAfter: '3', excerpt: '', truncated: false },
  'times out': { kind: 'timed-out', phase: 'headers', durationMs: 2000 },
  'breaks off': { kind: 'broken', code: 'ECONNRESET', message: 'socket hang up', durationMs: 1 },
  'is away': { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 },
} as const satisfies Record<string, Outcome>;

const hour = 3_600_000;
const offsets = { 'two days back': -48 * hour, 'an hour back': -hour, right: 0, 'a minute ahead': hour / 60, 'two days ahead': 48 * hour };
/** Longer than any age with these offsets. */
const maxAgeMs = 120 * hour;

/** The next event. A number selects one of the open jobs. */
type Step =
  | readonly ['accept', lane: string | null]
  | readonly ['answer', open: number, backend: keyof typeof outcomes]
  | readonly ['kill and restart']
  | readonly ['lose a thread', every: number]
  | readonly ['set the clock', ahead: keyof typeof offsets]
  | readonly ['wait', ms: number];

const accept = fc.constantFrom('a', 'b', null).map((lane): Step => ['accept', lane]);
const answer = fc
  .tuple(fc.nat(9), fc.constantFrom(...(Object.keys(outcomes) as (keyof typeof outcomes)[])))
  .map(([open, backend]): Step => ['answer', open, backend]);
const lose = fc.integer({ min: 1, max: 3 }).map((every): Step => ['lose a thread', every]);
const wait = fc.constantFrom(500, 1000, 3000, 5000).map((ms): Step => ['wait', ms]);
const setClock = fc.constantFrom(...(Object.keys(offsets) as (keyof typeof offsets)[])).map((to): Step => ['set the clock', to]);
const restart = fc.constant<Step>(['kill and restart']);

const quietly = [
  { weight: 8, arbitrary: accept },
  { weight: 8, arbitrary: answer },
  { weight: 4, arbitrary: wait },
  { weight: 2, arbitrary: lose },
  { weight: 1, arbitrary: setClock },
];
const workers = fc.constantFrom(1, 2, 5);
const holds = fc.constantFrom(0, 3000, Number.POSITIVE_INFINITY);
const inMemory = fc.array(fc.oneof(...quietly), { maxLength: 60, size: 'max' });
const onDisk = fc.array(fc.oneof(...quietly, { weight: 2, arbitrary: restart }), { maxLength: 40, size: 'max' });

interface World {
  readonly workers: number;
  readonly holdMs: number;
  /** Opens the spool that the previous one left. */
  readonly openSpool: typeof createMemorySpool;
}

test('with the spool in memory', async () => {
  await fc.assert(
    fc.asyncProperty(inMemory, workers, holds, (steps, count, holdMs) =>
      playOut(steps, { workers: count, holdMs, openSpool: createMemorySpool }),
    ),
    { numRuns: 300 },
  );
});

describe('with the spool in SQLite', () => {
  let sqlite: SqliteRig;
  let files = 0;
  beforeAll(async () => {
    sqlite = await createSqliteRig();
  });
  afterAll(() => sqlite[Symbol.asyncDispose]());

  test('and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(onDisk, workers, holds, (steps, count, holdMs) => {
        files += 1;
        const config = makeConfig(join(sqlite.folder, `spool-${files}`, 'spool.sqlite'));
        return playOut(steps, {
          workers: count,
          holdMs,
          openSpool: ({ events, clock }) =>
            createSqliteSpool(config, {
              events,
              clock: { now: clock.now, monotonic: systemClock.monotonic },
              timers: systemTimers,
              onFailed: (error) => {
                throw error;
              },
            }),
        });
      }),
      { numRuns: 12 },
    );
  });
});

async function playOut(steps: readonly Step[], { workers: count, holdMs, openSpool }: World): Promise<void> {
  const clock = createFakeClock();
  const ledger = createDeliveryLedger({ workers: count, budget, holdMs, clock });
  let spool: WatchedSpool | undefined;
  let offset = 0;
  let rig = await begin();

  async function begin(): Promise<DeliveryRig> {
    const next = await startDeliveryRig({
      workers: count,
      policy: { scheduleMs, holdMs, maxAgeMs },
      clock,
      started: false,
      openSpool: (deps) => {
        spool = watchSpool(openSpool(deps));
        return spool;
      },
    });
    ledger.follow(next);
    await next.dispatcher.start();
    return next;
  }

  async function end(): Promise<void> {
    const stopped = rig.dispatcher.stop({ graceMs: 0, release: false });
    rig.timers.fire(); // the grace is over
    await stopped;
    await spool?.quiet();
    await rig.spool.stop();
  }

  async function take(step: Step): Promise<void> {
    const { open } = rig.threads;
    switch (step[0]) {
      case 'accept': {
        const delivery = makeDelivery({ id: `d${ledger.ids.length + 1}`, lane: step[1], createdAt: clock.now() });
        ledger.accepted(delivery);
        return rig.accept(delivery);
      }
      case 'answer': {
        const job = open[step[1] % open.length];
        if (job !== undefined) rig.threads.answer(job, outcomes[step[2]]);
        return;
      }
      case 'kill and restart':
        await end();
        rig = await begin();
        return;
      case 'lose a thread': {
        const jobs = open.filter((_job, index) => index % step[1] === 0);
        ledger.lost(jobs);
        return rig.threads.lose(jobs);
      }
      case 'set the clock':
        clock.jump(offsets[step[1]] - offset);
        offset = offsets[step[1]];
        return rig.pass(0);
      case 'wait':
        return rig.pass(step[1]);
      default:
        return step satisfies never;
    }
  }

  async function takeAndCheck(step: Step): Promise<void> {
    await take(step);
    await spool?.quiet();
    ledger.checkSent();
    ledger.checkHeld();
    ledger.checkBusy();
  }

  try {
    for (const step of steps) await takeAndCheck(step);
    await takeAndCheck(['set the clock', 'two days ahead']); // after the end of all waits
    for (let rounds = 0; rig.spool.stats().depths.some(({ waiting }) => waiting > 0); rounds += 1) {
      expect(rounds).toBeLessThan(200);
      await takeAndCheck(rig.threads.open.length > 0 ? ['answer', 0, 'accepts'] : ['wait', 5000]);
    }

    ledger.checkGivenUp();
    const dead = ledger.ended('dead');
    expect([...dead, ...ledger.ended('delivered')].sort()).toEqual([...ledger.ids].sort());
    expect((await rig.spool.deadLetters({}, { limit: 1000 })).map(({ id }) => id).sort()).toEqual(dead.sort());
  } finally {
    await end();
  }
}
