import type { EpochMs } from '../../src/kit/clock.ts';
import type { Entry, NewDelivery, Settlement } from '../../src/spool/spool.ts';

interface Row {
  readonly delivery: NewDelivery;
  lane: string | null;
  place: 'claimed' | 'ready' | 'waiting';
  due: EpochMs;
  attempts: number;
}

/** The port's rules at their plainest: one list in order of acceptance, looked through from the front each time. */
export class SpoolModel {
  rows: Row[] = [];
  dead = 0;

  /** Ids claimed at birth. */
  append({ deliveries, claim }: Entry): string[] {
    return deliveries.filter((delivery, index) => this.#add(delivery, claim[index] === true) === 'claimed').map(({ id }) => id);
  }

  claim(pool: string, limit: number, now: EpochMs): { ids: string[]; nextAt: EpochMs | undefined } {
    const taken = this.#ready(pool)
      .filter((row) => row.due <= now)
      .slice(0, limit);
    for (const row of taken) row.place = 'claimed';
    return { ids: taken.map((row) => row.delivery.id), nextAt: this.#ready(pool)[0]?.due };
  }

  settle(id: string, { fate, attempt, spawn, claimNext }: Omit<Settlement, 'seq'>): { next: string | undefined; readyPools: string[] } {
    const row = this.rows.find((each) => each.delivery.id === id);
    if (row === undefined) throw new Error(`the model knows no ${id}`);
    const readyPools = new Set<string>();
    const lane = row.lane;
    const ends = fate.kind === 'delivered' || fate.kind === 'dead';
    const leaves = ends || (fate.kind === 'retry' && fate.leaveLane);

    if (fate.kind === 'dead') this.dead += 1;
    if (ends) this.rows = this.rows.filter((each) => each !== row);
    else {
      row.place = 'ready';
      if (fate.kind === 'retry') row.due = fate.notBefore;
      if (fate.kind === 'retry' && attempt !== undefined) row.attempts += 1;
      readyPools.add(row.delivery.pool);
    }
    if (leaves) row.lane = null;

    const next = leaves && lane !== null ? this.rows.find((each) => each.lane === lane) : undefined;
    if (next !== undefined) next.place = claimNext ? 'claimed' : 'ready';
    if (next?.place === 'ready') readyPools.add(next.delivery.pool);
    for (const delivery of spawn) if (this.#add(delivery, false) === 'ready') readyPools.add(delivery.pool);
    return { next: next?.place === 'claimed' ? next.delivery.id : undefined, readyPools: [...readyPools].sort() };
  }

  claimedIds(): string[] {
    return this.rows.filter((row) => row.place === 'claimed').map((row) => row.delivery.id);
  }

  attemptsOf(id: string): number | undefined {
    return this.rows.find((row) => row.delivery.id === id)?.attempts;
  }

  waiting(pool: string): number {
    return this.rows.filter((row) => row.delivery.pool === pool).length;
  }

  #add(delivery: NewDelivery, take: boolean): Row['place'] {
    const free = delivery.lane === null || !this.rows.some((row) => row.lane === delivery.lane);
    const place = free ? (take ? 'claimed' : 'ready') : 'waiting';
    this.rows.push({ delivery, lane: delivery.lane, place, due: delivery.createdAt, attempts: 0 });
    return place;
  }

  /** Stable: equal due times keep the order of acceptance. */
  #ready(pool: string): Row[] {
    return this.rows.filter((row) => row.place === 'ready' && row.delivery.pool === pool).sort((one, other) => one.due - other.due);
  }
}
