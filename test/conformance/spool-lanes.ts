import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { QueueName } from '../../src/model/delivery.ts';
import type { Disposition, Spool } from '../../src/spool/spool.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry } from '../spool/build.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { SpoolModel } from './spool-model.ts';

interface NewRow {
  readonly lane: number;
  readonly queue: number;
  readonly disposition: 'leave' | 'refuse' | 'take';
}

/** One step of a random sequence; its numbers are interpreted in the current state. */
type Step =
  | { readonly kind: 'append'; readonly rows: readonly NewRow[]; readonly revives: number }
  | { readonly kind: 'claim'; readonly pool: number; readonly handlers: number; readonly limit: number; readonly after: number }
  | { readonly kind: 'move'; readonly from: number; readonly to: number }
  | { readonly kind: 'purge'; readonly queue: number }
  | { readonly kind: 'replay'; readonly pool: number; readonly limit: number }
  | {
      readonly kind: 'settle';
      readonly which: number;
      readonly disposition: Disposition;
      readonly claimNext: number;
      readonly spawnLane: number;
    }
  | { readonly kind: 'shed'; readonly pool: number; readonly count: number };

const dispositions: fc.Arbitrary<Disposition> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Disposition>({ kind: 'delivered' }) },
  fc.constant<Disposition>({ kind: 'dead', reason: 'refused', detail: '' }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('retry' as const),
      notBefore: fc.nat(20), // counted from its acceptance
      leaveLane: fc.boolean(),
      context: fc.constant({}),
    }),
  },
  fc.constant<Disposition>({ kind: 'released' }),
);

const newRow = fc.record({
  lane: fc.nat(3),
  queue: fc.nat(3),
  disposition: fc.constantFrom<NewRow['disposition'][]>('leave', 'leave', 'take', 'take', 'refuse'),
});

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('append' as const), rows: fc.array(newRow, { maxLength: 4 }), revives: fc.nat(9) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: fc.constant('claim' as const), pool: fc.nat(1), handlers: fc.nat(3), limit: fc.nat(5), after: fc.nat(20) },
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      which: fc.nat(),
      disposition: dispositions,
      claimNext: fc.nat(3),
      spawnLane: fc.nat(12),
    }),
  },
  fc.record({ kind: fc.constant('move' as const), from: fc.nat(3), to: fc.nat(3) }),
  fc.record({ kind: fc.constant('purge' as const), queue: fc.nat(3) }),
  fc.record({ kind: fc.constant('replay' as const), pool: fc.nat(1), limit: fc.nat(4) }),
  fc.record({ kind: fc.constant('shed' as const), pool: fc.nat(1), count: fc.nat(4) }),
);

/** Compares random sequences of calls with the model: claims, due times, pools to wake, depths. */
export function keepsLaneOrder(currentSpool: () => Spool): void {
  test('behaves like the model in every step of a random sequence', async () => {
    let lives = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 60, size: 'max' }), async (life) => {
        lives += 1; // each life has pools and lanes of its own
        const walk = createWalk(currentSpool(), `life-${lives}`);
        for (const step of life) await walk(step);
      }),
      { numRuns: 100, interruptAfterTimeLimit: 40_000 }, // otherwise shrinking would exceed the time limit of the test
    );
  });
}

function createWalk(spool: Spool, life: string): (step: Step) => Promise<void> {
  const model = new SpoolModel();
  const seqs = new Map<string, number>();
  const poolAt = (index: number) => `${life}-${index === 0 ? 'one' : 'two'}`;
  const queueAt = (index: number): QueueName => ({ pool: poolAt(index & 1), handler: index < 2 ? 'push' : 'log' });
  let born = 0;

  const now = () => acceptedAt + Math.floor(born / 4);
  const make = (lane: number, queue: number) => {
    born += 1;
    return makeDelivery({
      ...{ id: `${life}-${born}`, lane: lane === 0 ? null : `${life}-${lane}`, createdAt: now() },
      ...queueAt(queue),
    });
  };
  const remember = (claimed: readonly { readonly id: string; readonly seq: number }[]): string[] => {
    for (const { id, seq } of claimed) seqs.set(id, seq);
    return claimed.map(({ id }) => id);
  };

  async function append({ rows, revives }: Extract<Step, { kind: 'append' }>): Promise<void> {
    const made = rows.map(({ lane, queue, disposition }) => ({ delivery: make(lane, queue), disposition }));
    const kept = made.filter(({ disposition }) => disposition !== 'refuse');
    const refused = made
      .filter(({ disposition }) => disposition === 'refuse')
      .map((each) => ({ ...each, reason: 'overflow' as const, detail: 'full' }));
    const entry = makeEntry(
      kept.map(({ delivery }) => delivery),
      {
        claim: kept.map(({ disposition }) => disposition === 'take'),
        refused,
        revives: model.dead[revives]?.id ?? (revives === 9 ? idOf('unknown') : undefined),
      },
    );
    expect(remember(await appendTo(spool, entry))).toEqual(model.append(entry));
  }

  async function claim({ pool, handlers, limit, after }: Extract<Step, { kind: 'claim' }>): Promise<void> {
    const name = poolAt(pool);
    const wanted = { handlers: ['push', 'log'].filter((_, index) => (handlers & (1 << index)) !== 0), limit, now: acceptedAt + after };
    const { claimed, nextAt } = await claimFrom(spool, name, { ...wanted, bytes: 1_000_000 });
    const expected = model.claim(name, wanted);
    expect({ ids: remember(claimed), nextAt }).toEqual(expected);
    for (const { id, attempts } of claimed) expect(attempts).toBe(model.attemptsOf(id));
  }

  async function settle({ which, disposition: wish, claimNext, spawnLane }: Extract<Step, { kind: 'settle' }>): Promise<void> {
    const held = model.claimedIds();
    const id = held[which % Math.max(1, held.length)];
    if (id === undefined) return;
    const spawn = spawnLane < 4 ? [make(spawnLane, 1)] : [];
    const disposition = wish.kind === 'retry' ? { ...wish, notBefore: model.acceptedAt(id) + wish.notBefore } : wish;
    const attempt = disposition.kind === 'retry' ? answered((model.attemptsOf(id) ?? 0) + 1, 503) : undefined;
    const expected = model.settle(id, { disposition, attempt, spawn, failedPackets: [], claimNext });
    const { next, readyPools } = await settleIn(spool, {
      seq: seqs.get(id) ?? 0,
      disposition,
      attempt,
      spawn,
      failedPackets: [],
      claimNext,
    });
    expect({ next: remember(next), readyPools: readyPools.toSorted() }).toEqual(expected);
  }

  async function replay({ pool, limit }: Extract<Step, { kind: 'replay' }>): Promise<void> {
    const how = { limit, now: now() };
    expect(await spool.replay({ pool: poolAt(pool) }, how)).toEqual({ ...model.replay(poolAt(pool), how), failedPackets: 0 });
  }

  async function shed({ pool, count }: Extract<Step, { kind: 'shed' }>): Promise<void> {
    const { shed: gone, readyPools } = await spool.shed(poolAt(pool), count, 'full');
    expect({ shed: gone, readyPools: readyPools.toSorted() }).toEqual(model.shed(poolAt(pool), count));
  }

  async function take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'append':
        return append(step);
      case 'claim':
        return claim(step);
      case 'move':
        expect(await spool.moveQueue(queueAt(step.from), queueAt(step.to))).toBe(model.moveQueue(queueAt(step.from), queueAt(step.to)));
        return;
      case 'purge':
        expect(await spool.purgeQueue(queueAt(step.queue))).toBe(model.purgeQueue(queueAt(step.queue)));
        return;
      case 'replay':
        return replay(step);
      case 'settle':
        return settle(step);
      case 'shed':
        return shed(step);
      default:
        step satisfies never;
    }
  }

  return async (step) => {
    await take(step);
    const { depths } = spool.stats();
    for (const queue of [0, 1, 2, 3].map(queueAt)) {
      const depth = depths.find(({ pool, handler }) => pool === queue.pool && handler === queue.handler);
      expect({ waiting: depth?.waiting ?? 0, dead: depth?.dead ?? 0 }).toEqual(model.depth(queue));
    }
  };
}
