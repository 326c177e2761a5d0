/**
 * For any order of backend failures, pauses by operators, and reloads that remove and restore handlers, also during commits: no
 * delivery that may be sent waits without a scheduled check, none ends twice, and a lane keeps its order.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOCAL_SHORTAGE } from '../../src/kit/dial-tcp.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { makeDelivery } from '../spool/build.ts';
import { answered, type DeliveryRig, startDeliveryRig } from '../support/delivery-rig.ts';

const handlers = ['push', 'archive', 'alert'];
const outcomes: readonly Outcome[] = [
  answered(200),
  answered(200),
  answered(422),
  answered(503),
  { kind: 'answered', status: 429, durationMs: 1, retryAfter: '3', excerpt: '', truncated: false },
  { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 },
  { kind: 'unsent', code: LOCAL_SHORTAGE, message: 'connect EMFILE', durationMs: 1 },
];

/** The next event. A number selects one of the open jobs. */
type Step =
  | readonly ['accept', handler: string, lane: string | null]
  | readonly ['answer', open: number, outcome: Outcome]
  | readonly ['lose a thread']
  | readonly ['pause', paused: boolean]
  | readonly ['serve', handlers: readonly string[]]
  | readonly ['wait', ms: number];

const accept = fc.tuple(fc.constantFrom(...handlers), fc.constantFrom('a', 'b', null)).map((of): Step => ['accept', ...of]);
const answer = fc.tuple(fc.nat(9), fc.constantFrom(...outcomes)).map((of): Step => ['answer', ...of]);
const wait = fc.constantFrom(0, 500, 1000, 3000).map((ms): Step => ['wait', ms]);
const serve = fc.subarray(handlers).map((names): Step => ['serve', names]);
const pause = fc.boolean().map((paused): Step => ['pause', paused]);
const steps = fc.oneof(
  { weight: 8, arbitrary: accept },
  { weight: 8, arbitrary: answer },
  { weight: 6, arbitrary: wait },
  { weight: 2, arbitrary: serve },
  { weight: 1, arbitrary: pause },
  { weight: 1, arbitrary: fc.constant<Step>(['lose a thread']) },
);

const circuitBreaker = { failureRatio: 0.5, minAttempts: 3, windowMs: 30_000, openMs: 1000, maxOpenMs: 8000 };
const guards = fc.record({
  circuitBreaker: fc.constantFrom(undefined, circuitBreaker),
  rateLimit: fc.constantFrom(undefined, { requests: 5, perMs: 1000, burst: 3 }),
});

/** The pool is resumed before its deliveries are withdrawn. */
const resumedWhileWithdrawn: Step[] = [
  ...['archive', 'archive', 'archive'].map((handler): Step => ['accept', handler, 'b']),
  ['pause', true],
  ['accept', 'push', 'a'],
  ['accept', 'push', 'a'],
  ['answer', 0, answered(200)],
  ['pause', false],
  ['answer', 0, answered(503)],
];

test('each admitted delivery is sent once, in the order of its lane', async () => {
  const many = fc.array(steps, { maxLength: 120, size: 'max' });
  await fc.assert(
    fc.asyncProperty(many, fc.constantFrom(1, 2, 5), guards, async (taken, workers, pool) => {
      const rig = await startDeliveryRig({ workers, pool, handlers, policy: { scheduleMs: new Array<number>(1000).fill(1000) } });
      await playOut(rig, taken);
    }),
    { numRuns: 200, examples: [[resumedWhileWithdrawn, 1, { circuitBreaker: undefined, rateLimit: undefined }]] },
  );
});

async function playOut(rig: DeliveryRig, taken: readonly Step[]): Promise<void> {
  const accepted: NewDelivery[] = [];
  const ended: string[] = [];
  rig.events.on('delivery.settled', ({ id, disposition }) => {
    if (disposition !== 'retry') ended.push(id);
  });

  for (const step of taken) await take(step);
  rig.dispatcher.setPaused(false);
  rig.serve(handlers);
  await rig.pass(0);
  for (let rounds = 0; rig.spool.stats().depths.some(({ waiting }) => waiting > 0); rounds += 1) {
    expect(rounds).toBeLessThan(1000);
    const [open] = rig.open();
    if (open !== undefined) await rig.answer(open, 200);
    else await rig.pass(Math.min(...rig.timers.waits)); // Infinity if no check is scheduled
  }

  expect(ended.toSorted()).toEqual(accepted.map(({ id }) => id).toSorted());
  for (const lane of new Set(accepted.flatMap((delivery) => delivery.lane ?? []))) {
    const ids: readonly string[] = accepted.filter((delivery) => delivery.lane === lane).map(({ id }) => id);
    expect(ended.filter((id) => ids.includes(id))).toEqual(ids);
  }

  /** Only waiting lets commits end: other steps take place during commits. */
  async function take(step: Step): Promise<void> {
    const { open } = rig.threads;
    switch (step[0]) {
      case 'accept': {
        const [, handler, lane] = step;
        const delivery = makeDelivery({ id: `d${accepted.length + 1}`, handler, lane: lane && `${handler} ${lane}`, createdAt: rig.now() });
        accepted.push(delivery);
        void rig.accept(delivery);
        return;
      }
      case 'answer': {
        const job = open[step[1] % open.length];
        if (job !== undefined) rig.threads.answer(job, step[2]);
        return;
      }
      case 'lose a thread':
        return rig.threads.lose(open);
      case 'pause':
        return rig.dispatcher.setPaused(step[1]);
      case 'serve':
        return rig.serve(step[1]);
      case 'wait':
        return await rig.pass(step[1]);
      default:
        return step satisfies never;
    }
  }
}
