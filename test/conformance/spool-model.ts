import type { EpochMs } from '../../src/kit/clock.ts';
import type { NewDelivery, QueueName } from '../../src/model/delivery.ts';
import type { ClaimRequest, Entry, Settlement } from '../../src/spool/spool.ts';

interface Row {
  delivery: NewDelivery;
  lane: string | null;
  place: 'claimed' | 'ready' | 'waiting';
  due: EpochMs;
  attempts: number;
}

/** The rules of the port in their simplest form: one list in order of acceptance, searched from the front each time. */
export class SpoolModel {
  rows: Row[] = [];
  dead: NewDelivery[] = [];

  /** Returns the ids claimed by the append. */
  append({ deliveries, claim, refused, revives }: Entry): string[] {
    if (revives !== undefined) this.dead = this.dead.filter(({ id }) => id !== revives);
    this.dead.push(...refused.map(({ delivery }) => delivery));
    return deliveries.filter((delivery, index) => this.#add(delivery, claim[index] === true) === 'claimed').map(({ id }) => id);
  }

  claim(pool: string, { handlers, limit, now }: Omit<ClaimRequest, 'bytes'>): { ids: string[]; nextAt: EpochMs | undefined } {
    const ready = () => this.#ready(pool, handlers);
    const due = ready().filter((row) => row.due <= now);
    const [fresh, retries] = [due.filter(({ attempts }) => attempts === 0), due.filter(({ attempts }) => attempts > 0)];
    const share = fresh.length === 0 ? limit : Math.floor(limit / 2);
    const taken = [...retries.slice(0, share), ...fresh, ...retries.slice(share)].slice(0, limit);
    for (const row of taken) row.place = 'claimed';
    return { ids: due.filter((row) => taken.includes(row)).map((row) => row.delivery.id), nextAt: ready()[0]?.due };
  }

  settle(id: string, { disposition, attempt, spawn, claimNext }: Omit<Settlement, 'seq'>): { next: string[]; readyPools: string[] } {
    const row = this.rows.find((each) => each.delivery.id === id);
    if (row === undefined) throw new Error(`the model knows no ${id}`);
    const readyPools = new Set<string>();
    const lane = row.lane;
    const ends = disposition.kind === 'delivered' || disposition.kind === 'dead';
    const leaves = ends || (disposition.kind === 'retry' && disposition.leaveLane);

    if (disposition.kind === 'dead') this.dead.push(row.delivery);
    if (ends) this.rows = this.rows.filter((each) => each !== row);
    else {
      if (!leaves) this.#endClaimsFrom(row);
      row.place = !leaves && this.#claimedOf(lane).length > 0 ? 'waiting' : 'ready';
      if (disposition.kind === 'retry') row.due = disposition.notBefore;
      if (disposition.kind === 'retry' && attempt !== undefined) row.attempts += 1;
      if (row.place === 'ready') readyPools.add(row.delivery.pool);
    }
    if (leaves) row.lane = null;

    const next = leaves && this.#claimedOf(lane).length === 0 ? this.#claimNext(row, lane, claimNext) : [];
    const first = leaves && lane !== null ? this.rows.find((each) => each.lane === lane) : undefined;
    if (first?.place === 'waiting') first.place = 'ready';
    if (first?.place === 'ready') readyPools.add(first.delivery.pool);
    for (const delivery of spawn) if (this.#add(delivery, false) === 'ready') readyPools.add(delivery.pool);
    return { next, readyPools: [...readyPools].sort() };
  }

  /** Claims the first rows of a lane, up to one of another queue. */
  #claimNext({ delivery: { pool, handler } }: Row, lane: string | null, limit: number): string[] {
    const rows = lane === null ? [] : this.rows.filter((each) => each.lane === lane);
    const other = rows.findIndex(({ delivery }) => delivery.pool !== pool || delivery.handler !== handler);
    const next = rows.slice(0, Math.min(limit, other === -1 ? rows.length : other));
    for (const row of next) row.place = 'claimed';
    return next.map(({ delivery }) => delivery.id);
  }

  #claimedOf(lane: string | null): Row[] {
    return lane === null ? [] : this.rows.filter((row) => row.lane === lane && row.place === 'claimed');
  }

  #endClaimsFrom(row: Row): void {
    row.place = 'waiting';
    for (const each of this.#claimedOf(row.lane)) if (this.rows.indexOf(each) > this.rows.indexOf(row)) each.place = 'waiting';
  }

  replay(pool: string, { limit, now }: { limit: number; now: EpochMs }): { replayed: number; readyPools: string[] } {
    const chosen = this.dead.filter((delivery) => delivery.pool === pool).slice(0, limit);
    this.dead = this.dead.filter((delivery) => !chosen.includes(delivery));
    const places = chosen.map((delivery) => this.#add({ ...delivery, createdAt: now }, false));
    return { replayed: chosen.length, readyPools: places.includes('ready') ? [pool] : [] };
  }

  /** Returns the queues of the deliveries that died. */
  shed(pool: string, count: number): { shed: QueueName[]; readyPools: string[] } {
    const [shed, readyPools] = [[] as QueueName[], new Set<string>()];
    while (shed.length < count) {
      const head = this.rows.find((row) => row.place === 'ready' && row.delivery.pool === pool);
      if (head === undefined) break;
      this.dead.push(head.delivery);
      shed.push({ pool, handler: head.delivery.handler });
      const next = this.#discard(head);
      if (next !== undefined) readyPools.add(next.delivery.pool);
    }
    return { shed, readyPools: [...readyPools].sort() };
  }

  moveQueue(from: QueueName, to: QueueName): number {
    const members = this.#unclaimed(from);
    for (const row of members) row.delivery = { ...row.delivery, ...to };
    return members.length;
  }

  purgeQueue(queue: QueueName): number {
    const members = this.#unclaimed(queue);
    for (const row of members) this.#discard(row);
    return members.length;
  }

  claimedIds(): string[] {
    return this.rows.filter((row) => row.place === 'claimed').map((row) => row.delivery.id);
  }

  acceptedAt(id: string): EpochMs {
    return this.rows.find((row) => row.delivery.id === id)?.delivery.createdAt ?? 0;
  }

  attemptsOf(id: string): number | undefined {
    return this.rows.find((row) => row.delivery.id === id)?.attempts;
  }

  depth({ pool, handler }: QueueName): { waiting: number; dead: number } {
    const isMember = (delivery: NewDelivery) => delivery.pool === pool && delivery.handler === handler;
    return { waiting: this.rows.filter((row) => isMember(row.delivery)).length, dead: this.dead.filter(isMember).length };
  }

  #add(delivery: NewDelivery, take: boolean): Row['place'] {
    const { pool, handler, lane } = delivery;
    const ahead = lane === null ? [] : this.rows.filter((row) => row.lane === lane);
    const joins = ahead.every((row) => row.place === 'claimed' && row.delivery.pool === pool && row.delivery.handler === handler);
    const place = take && joins ? 'claimed' : ahead.length === 0 ? 'ready' : 'waiting';
    this.rows.push({ delivery, lane: delivery.lane, place, due: delivery.createdAt, attempts: 0 });
    return place;
  }

  #discard(row: Row): Row | undefined {
    this.rows = this.rows.filter((each) => each !== row);
    const next = row.place === 'ready' && row.lane !== null ? this.rows.find((each) => each.lane === row.lane) : undefined;
    if (next !== undefined) next.place = 'ready';
    return next;
  }

  #unclaimed({ pool, handler }: QueueName): Row[] {
    return this.rows.filter(({ delivery, place }) => place !== 'claimed' && delivery.pool === pool && delivery.handler === handler);
  }

  /** Stable: equal due times keep the order of acceptance. */
  #ready(pool: string, handlers: readonly string[]): Row[] {
    return this.rows
      .filter(({ delivery, place }) => place === 'ready' && delivery.pool === pool && handlers.includes(delivery.handler))
      .sort((one, other) => one.due - other.due);
  }
}
