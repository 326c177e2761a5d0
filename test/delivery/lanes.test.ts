import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Job } from '../../pools/contract.ts';
import { makeDelivery } from '../spool/build.ts';
import { answered, type DeliveryRig, startDeliveryRig } from '../support/delivery-rig.ts';

/** The results of the attempts at one delivery; further attempts are accepted. */
type Tries = readonly (200 | 422 | 503 | 'thread died')[];

const tries = fc.array(fc.constantFrom<Tries[number][]>(200, 422, 503, 503, 'thread died'), { maxLength: 6 });
const plans = fc.array(fc.record({ lane: fc.constantFrom('a', 'b', 'c', null), tries }), { minLength: 1, maxLength: 25 });
const picks = fc.infiniteStream(fc.nat(99));

test('for any results of attempts: a lane keeps its order, each delivery ends once, none is lost', async () => {
  await fc.assert(
    fc.asyncProperty(plans, fc.integer({ min: 1, max: 4 }), picks, async (plan, workers, stream) => {
      const rig = await startDeliveryRig({ workers });
      const deliveries = plan.map(({ lane }, index) => makeDelivery({ id: `${lane}-${index}`, lane }));
      const left = new Map(plan.map((each, index) => [deliveries[index]?.id, [...each.tries]]));
      await rig.accept(...deliveries);
      const ended = await playOut(rig, (job) => left.get(job.id)?.shift() ?? 200, stream);

      expect(rig.threads.open).toEqual([]);
      expect(rig.dispositions.filter((disposition) => !disposition.endsWith('retry')).sort()).toEqual(
        ended.map(({ id, disposition }) => `${id} ${disposition}`).sort(),
      );
      expect(ended.map(({ id }) => id).sort()).toEqual(deliveries.map(({ id }) => id).sort());
      for (const lane of ['a', 'b', 'c']) {
        const inLane = (id: string) => id.startsWith(`${lane}-`);
        expect(ended.map(({ id }) => id).filter(inLane)).toEqual(deliveries.map(({ id }) => id).filter(inLane));
      }
      const dead = ended.filter(({ disposition }) => disposition === 'dead').length;
      expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 0, dead }]);
    }),
  );
});

/** Answers all jobs with their planned results in any order, and advances the clock if no job is open; returns the ends in order. */
async function playOut(
  rig: DeliveryRig,
  meets: (job: Job) => Tries[number],
  picks: Iterator<number>,
): Promise<{ readonly id: string; readonly disposition: 'dead' | 'delivered' }[]> {
  const ended: { readonly id: string; readonly disposition: 'dead' | 'delivered' }[] = [];
  const deaths = new Map<string, number>();
  for (;;) {
    const { open } = rig.threads;
    expectOneForEachLane(open);
    const job = open[picks.next().value % open.length];
    if (job === undefined) {
      if (rig.timers.pending === 0) return ended;
      await rig.pass(5000);
      continue;
    }
    const met = meets(job);
    if (met === 'thread died') {
      const isCulprit = (deaths.get(job.id) ?? 0) === 2; // its third spends an attempt
      deaths.set(job.id, isCulprit ? 0 : (deaths.get(job.id) ?? 0) + 1);
      if (isCulprit && job.attempt === 3) ended.push({ id: job.id, disposition: 'dead' });
      rig.threads.lose([job]);
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    deaths.delete(job.id);
    if (met === 200) ended.push({ id: job.id, disposition: 'delivered' });
    else if (met === 422 || job.attempt === 3) ended.push({ id: job.id, disposition: 'dead' });
    rig.threads.answer(job, answered(met));
    await new Promise((resolve) => setImmediate(resolve)); // the spool in memory answers within one turn
  }
}

function expectOneForEachLane(open: readonly Job[]): void {
  const lanes = open.map(({ id }) => id.split('-')[0]).filter((lane) => lane !== 'null');
  expect(new Set(lanes).size).toBe(lanes.length);
}
