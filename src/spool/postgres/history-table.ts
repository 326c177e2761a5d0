import type { EpochMs } from '../../kit/clock.ts';
import type { HistorySpan } from '../history/record.ts';
import type { HistoryLimits } from './protocol.ts';
import type { Session } from './session.ts';
import { WriteSet } from './write-set.ts';

/** Maximum number of groups that one transaction deletes; fewer are added between two. */
const trimmedRows = 2000;

/**
 * The history in its table: the records of a batch are one row, a *group*, stored by the transaction that ends the batch. The key of a group is
 * the number of bytes that were ever added up to its end, so sizes are known without a count, and the oldest groups are one range.
 */
export class HistoryTable {
  readonly #session: Session;
  readonly #limits: HistoryLimits;
  #starts = 0;
  #ends = 0;
  #since: EpochMs | null = null;

  constructor(session: Session, limits: HistoryLimits) {
    this.#session = session;
    this.#limits = limits;
  }

  get span(): HistorySpan {
    return { since: this.#since, bytes: this.#ends - this.#starts };
  }

  async load(): Promise<void> {
    const [last] = await this.#read<[ends: number]>('SELECT ends FROM history ORDER BY ends DESC LIMIT 1', []);
    this.#ends = last?.[0] ?? 0;
    await this.#readOldest();
  }

  /** `at` is not earlier than any of the records. */
  add(writes: WriteSet, { at, records }: { readonly at: EpochMs; readonly records: string }): void {
    if (records === '') return;
    this.#ends += Buffer.byteLength(records);
    this.#since ??= at;
    writes.record(this.#ends, at, records);
  }

  /** Deletes the oldest groups that are too old, or too large together with the later ones. */
  async trim(now: EpochMs): Promise<void> {
    const { maxAgeMs, maxBytes } = this.#limits;
    const [oldest, fullFrom] = [now - maxAgeMs, this.#ends - maxBytes];
    if (this.#since === null || (this.#since >= oldest && this.#starts >= fullFrom)) return;
    const [row] = await this.#read<[ends: number | null]>(lastToTrim, [this.#starts, oldest, fullFrom]);
    const ends = row?.[0] ?? null;
    if (ends === null) return;
    const writes = new WriteSet();
    writes.trimHistory(ends);
    await this.#session.commit(writes);
    await this.#readOldest();
  }

  async #readOldest(): Promise<void> {
    const text = 'SELECT ends - octet_length(records), at FROM history WHERE ends > $1 ORDER BY ends LIMIT 1';
    const [first] = await this.#read<[starts: number, at: EpochMs]>(text, [this.#starts]);
    [this.#starts, this.#since] = first ?? [this.#ends, null];
  }

  #read<Row extends unknown[]>(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#session.read<Row>({ name: '', text, values });
  }
}

/** A group in which the limit of size ends is deleted whole. */
const lastToTrim = `SELECT max(ends) FROM (
  SELECT ends, at, lag(ends, 1, $1::bigint) OVER (ORDER BY ends) AS starts FROM history WHERE ends > $1::bigint ORDER BY ends LIMIT ${trimmedRows}
) AS oldest WHERE at < $2 OR starts < $3`;
