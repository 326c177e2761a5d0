import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Fate, Spool } from '../../src/spool/spool.ts';
import { acceptedAt, answered, makeDelivery, makeEntry } from '../spool/build.ts';
import { SpoolModel } from './spool-model.ts';

/** One step of a life: what is done, in numbers that the state at hand gives a meaning to. */
type Step =
  | { readonly kind: 'append'; readonly rows: readonly { lane: number; pool: number; take: boolean }[] }
  | { readonly kind: 'claim'; readonly pool: number; readonly limit: number; readonly after: number }
  | { readonly kind: 'settle'; readonly which: number; readonly fate: Fate; readonly claimNext: boolean; readonly spawnLane: number };

const fates: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Fate>({ kind: 'delivered' }) },
  fc.constant<Fate>({ kind: 'dead', reason: 'refused', detail: '' }),
  fc.record({
    kind: fc.constant('retry' as const),
    notBefore: fc.integer({ min: 0, max: 20 }).map((wait) => acceptedAt + wait),
    leaveLane: fc.boolean(),
  }),
  fc.constant<Fate>({ kind: 'released' }),
);

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    rows: fc.array(fc.record({ lane: fc.nat(3), pool: fc.nat(1), take: fc.boolean() }), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('claim' as const), pool: fc.nat(1), limit: fc.nat(3), after: fc.nat(20) }),
  fc.record({
    kind: fc.constant('settle' as const),
    which: fc.nat(),
    fate: fates,
    claimNext: fc.boolean(),
    spawnLane: fc.nat(12),
  }),
);

/** Any life of a spool goes as the model's: what is claimed and when, which pools to wake, what is owed. */
export function keepsLaneOrder(spoolAtHand: () => Spool): void {
  test('goes step by step as the plainest reading of the port, whatever happens', async () => {
    let lives = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 60 }), async (life) => {
        lives += 1; // each life has pools and lanes of its own
        const walk = createWalk(spoolAtHand(), `life-${lives}`);
        for (const step of life) await walk(step);
      }),
      { numRuns: 100 },
    );
  });
}

function createWalk(spool: Spool, life: string): (step: Step) => Promise<void> {
  const model = new SpoolModel();
  const seqs = new Map<string, number>();
  const poolAt = (index: number) => `${life}-${index === 0 ? 'one' : 'two'}`;
  let born = 0;

  const make = (lane: number, pool: number) => {
    born += 1;
    return makeDelivery({
      ...{ id: `${life}-${born}`, lane: lane === 0 ? null : `${life}-${lane}`, createdAt: acceptedAt + Math.floor(born / 4) },
      pool: poolAt(pool),
    });
  };
  const remember = (claimed: readonly { readonly id: string; readonly seq: number }[]): string[] => {
    for (const { id, seq } of claimed) seqs.set(id, seq);
    return claimed.map(({ id }) => id);
  };

  async function append(rows: Extract<Step, { kind: 'append' }>['rows']): Promise<void> {
    const deliveries = rows.map(({ lane, pool }) => make(lane, pool));
    const entry = makeEntry(deliveries, { claim: rows.map(({ take }) => take) });
    expect(remember(await spool.append(entry))).toEqual(model.append(entry));
  }

  async function claim({ pool, limit, after }: Extract<Step, { kind: 'claim' }>): Promise<void> {
    const name = poolAt(pool);
    const { claimed, nextAt } = await spool.claim(name, { limit, bytes: 1_000_000, now: acceptedAt + after });
    const expected = model.claim(name, limit, acceptedAt + after);
    expect({ ids: remember(claimed), nextAt }).toEqual(expected);
    for (const { id, attempts } of claimed) expect(attempts).toBe(model.attemptsOf(id));
  }

  async function settle({ which, fate, claimNext, spawnLane }: Extract<Step, { kind: 'settle' }>): Promise<void> {
    const held = model.claimedIds();
    const id = held[which % Math.max(1, held.length)];
    if (id === undefined) return;
    const spawn = spawnLane < 4 ? [make(spawnLane, 1)] : [];
    const attempt = fate.kind === 'retry' ? answered((model.attemptsOf(id) ?? 0) + 1, 503) : undefined;
    const expected = model.settle(id, { fate, attempt, spawn, claimNext });
    const { next, readyPools } = await spool.settle({ seq: seqs.get(id) ?? 0, fate, attempt, spawn, claimNext });
    if (next !== undefined) remember([next]);
    expect({ next: next?.id, readyPools: readyPools.toSorted() }).toEqual(expected);
  }

  return async (step) => {
    switch (step.kind) {
      case 'append':
        await append(step.rows);
        break;
      case 'claim':
        await claim(step);
        break;
      case 'settle':
        await settle(step);
        break;
      default:
        step satisfies never;
    }
    const depths = spool.stats().depths.filter(({ pool }) => pool.startsWith(`${life}-`));
    for (const { pool, waiting } of depths) expect(waiting).toBe(model.waiting(pool));
    expect(depths.reduce((sum, { waiting }) => sum + waiting, 0)).toBe(model.rows.length);
    expect(depths.reduce((sum, { dead }) => sum + dead, 0)).toBe(model.dead);
  };
}
