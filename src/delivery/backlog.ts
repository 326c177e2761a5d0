/** The bound on the pending deliveries of a pool (`max_backlog`), and the queue of packets that wait for it. */
import type { PoolConfig } from '../config/config.ts';
import type { Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import type { Spool } from '../spool/spool.ts';
import { countByQueue } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';

interface BacklogOptions {
  readonly pool: Pick<PoolConfig, 'id' | 'maxBacklog' | 'overflow'>;
  readonly spool: Pick<Spool, 'shed' | 'stats'>;
  readonly events: EventSink;
  readonly onReady: (pools: readonly string[]) => void;
  readonly onFailed: (error: Error) => void;
}

/**
 * The backlog of a pool. The counters of the spool are read only as often as the bound could have been reached, so that a pool
 * far below it has no cost.
 */
export class Backlog {
  readonly #options: BacklogOptions;
  /** Admitted and not on disk yet. */
  #incoming = 0;
  #untilNextCheck = 0;
  #isShedding = false;
  #holdsIntake = false;

  constructor(options: BacklogOptions) {
    this.#options = options;
  }

  /** The reason of a refusal, for the operator. */
  get fullness(): string {
    const { id, maxBacklog } = this.#options.pool;
    return `the backlog of pool ${id} is at its max_backlog (${maxBacklog})`;
  }

  /** Whether intake must wait: the pool is full, and its policy is `hold-intake`. Emits each change to full once. */
  holdsIntake(handler: string): boolean {
    const holds = this.#options.pool.overflow === 'hold-intake' && this.#isFull();
    if (holds && !this.#holdsIntake) this.#emitOverflow(handler, 1);
    this.#holdsIntake = holds;
    return holds;
  }

  /** Admits and counts a delivery of a handler, or refuses it. `dead-letter-oldest` frees capacity for it. */
  enter(handler: string): boolean {
    const { overflow } = this.#options.pool;
    if (this.#isFull() && overflow === 'refuse') {
      this.#emitOverflow(handler, 1);
      return false;
    }
    if (this.#untilNextCheck > 0) this.#untilNextCheck -= 1;
    else if (overflow === 'dead-letter-oldest') void this.#shed();
    this.#incoming += 1;
    return true;
  }

  /** An admitted delivery is on disk. */
  stored(): void {
    this.#incoming -= 1;
  }

  /** Since the last check the free capacity can only have shrunk by the deliveries admitted since. */
  #isFull(): boolean {
    if (this.#untilNextCheck > 0) return false;
    const free = this.#free();
    this.#untilNextCheck = Math.max(0, Math.ceil(free / 2));
    return free <= 0;
  }

  #free(): number {
    const { pool, spool } = this.#options;
    return spool
      .stats()
      .depths.reduce((free, depth) => (depth.pool === pool.id ? free - depth.waiting : free), pool.maxBacklog - this.#incoming);
  }

  /** Removes the excess at the time of the call; deliveries that arrive meanwhile start the next round. */
  async #shed(): Promise<void> {
    if (this.#isShedding) return;
    const { pool, spool, onReady, onFailed } = this.#options;
    this.#isShedding = true;
    try {
      const { shed, readyPools } = await spool.shed(pool.id, 1 - this.#free(), this.fullness);
      for (const { handler, count } of countByQueue(shed)) this.#emitOverflow(handler, count);
      if (readyPools.length > 0) onReady(readyPools);
    } catch (thrown) {
      onFailed(toError(thrown));
    }
    this.#isShedding = false;
  }

  #emitOverflow(handler: string, count: number): void {
    const { pool, events } = this.#options;
    events.emit('backlog.overflow', { pool: pool.id, handler, policy: pool.overflow, count });
  }
}

/** How often the first in the queue checks its condition, ms. */
const checkEveryMs = 100;

/** Packets that wait until their pools have capacity, first in, first out. */
export class IntakeQueue {
  readonly #timers: Timers;
  #last: Promise<void> | undefined;
  #cancelTimer: () => void = () => undefined;
  #isClosed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Undefined if the queue is empty and `mayEnter` returns true; else resolves at its turn, as soon as `mayEnter` does. */
  join(mayEnter: () => boolean): Promise<void> | undefined {
    if (this.#last === undefined && mayEnter()) return undefined;
    const turn = (this.#last ?? Promise.resolve()).then(() => this.#until(mayEnter));
    this.#last = turn;
    void turn.then(() => {
      if (this.#last === turn) this.#last = undefined;
    });
    return turn;
  }

  #until(mayEnter: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.#isClosed) return;
        if (mayEnter()) resolve();
        else this.#cancelTimer = this.#timers.after(checkEveryMs, check);
      };
      check();
    });
  }

  /** Stops all checks: no waiting packet enters any more. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }
}
