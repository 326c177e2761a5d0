import type { QueueName } from '../../model/delivery.ts';
import { PendingDeliveries } from './pending-deliveries.ts';
import type { Pending } from './pending-delivery.ts';
import type { Session } from './session.ts';
import { WriteSet } from './write-set.ts';

/** The state that commands change: the facts in memory, and the changes that are not committed yet. */
export class SpoolState {
  readonly pending = new PendingDeliveries();
  readonly paused = new Set<string>();
  readonly #session: Session;
  readonly #last = { seq: 0, dead: 0, attempt: 0 };
  #writes = new WriteSet();

  constructor(session: Session) {
    this.#session = session;
  }

  get writes(): WriteSet {
    return this.#writes;
  }

  /** The next number of a delivery, a dead letter or an attempt. */
  next(kind: 'attempt' | 'dead' | 'seq'): number {
    this.#last[kind] += 1;
    return this.#last[kind];
  }

  /** Removes a delivery and its attempts. The next one of its lane is not promoted yet. */
  remove(pending: Pending): void {
    if (pending.attempts + pending.past > 0) this.#writes.forgetAttempts(pending.seq);
    this.#writes.remove(pending.seq);
    this.pending.remove(pending);
  }

  /** Removes a dead letter and its attempts. `seq` is the key of these; null if it has none. */
  removeDead({ nr, seq, pool, handler }: QueueName & { readonly nr: number; readonly seq: number | null }): void {
    if (seq !== null) this.writes.forgetAttempts(seq);
    this.writes.removeDead(nr);
    this.countDead({ pool, handler }, -1);
  }

  /** Changes the number of dead letters of a queue. */
  countDead({ pool, handler }: QueueName, change: number): void {
    this.writes.countDead({ pool, handler }, change);
    this.pending.queues.addDead(this.pending.queues.of(pool, handler), change);
  }

  /** Commits all changes so far. */
  async flush(): Promise<void> {
    const writes = this.#writes;
    this.#writes = new WriteSet();
    await this.#session.commit(writes);
  }

  /** Reads the facts of everything that is stored; once, at the start. */
  async load(): Promise<void> {
    await this.#loadNumbers();
    await this.#loadPending();
    const dead = await this.#read<[pool: string, handler: string, count: number]>('SELECT pool, handler, count FROM dead_counts');
    for (const [pool, handler, count] of dead) this.pending.queues.addDead(this.pending.queues.of(pool, handler), count);
    for (const [pool] of await this.#read<[pool: string]>('SELECT pool FROM paused')) this.paused.add(pool);
  }

  async #loadNumbers(): Promise<void> {
    const [numbers] = await this.#read<[seq: number, attemptSeq: number, dead: number, attempt: number]>(`SELECT
      coalesce((SELECT max(seq) FROM deliveries), 0), coalesce((SELECT max(seq) FROM attempts), 0),
      coalesce((SELECT max(nr) FROM dead), 0), coalesce((SELECT max(nr) FROM attempts), 0)`);
    const [seq = 0, attemptSeq = 0, dead = 0, attempt = 0] = numbers ?? [];
    Object.assign(this.#last, { seq: Math.max(seq, attemptSeq), dead, attempt });
  }

  async #loadPending(): Promise<void> {
    let [after, count]: [number, number] = [Number.MIN_SAFE_INTEGER, loadedRows];
    while (count === loadedRows) {
      const rows = await this.#read<LoadedRow>(loadPage, [after, loadedRows]);
      for (const [seq, pool, handler, lane, createdAt, due, attempts, past, status, bytes] of rows) {
        this.pending.add({ seq, pool, handler, lane, createdAt, due, attempts, past, status, bytes }, false);
        after = seq;
      }
      count = rows.length;
    }
  }

  #read<Row extends unknown[]>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return this.#session.read<Row>({ name: '', text, values });
  }
}

const loadedRows = 20_000;

type LoadedRow = [
  seq: number,
  pool: string,
  handler: string,
  lane: string | null,
  createdAt: number,
  due: number,
  attempts: number,
  past: number,
  status: number | null,
  bytes: number,
];

const loadPage = `SELECT seq, pool, handler, lane, created_at, due, attempts, past, status, octet_length(coalesce(raw, ''::bytea)) + octet_length(coalesce(body, ''))
  FROM deliveries WHERE seq > $1 ORDER BY seq LIMIT $2`;
