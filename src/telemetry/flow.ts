/**
 * The flow of the last hour, in memory: events per second in rings for the plots of the dashboard, and the rates of each queue over
 * the last minute. Each event costs one increment; a timer reads the counts once per second.
 */
import type { Clock, Timers } from '../kit/clock.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import type { EventBus, Events } from './events.ts';
import { Series, Tally } from './series.ts';

/** Values of one second. `accepted`, `delivered`, `dead` and `failed` are counts, `waiting` and `tapFill` are levels. */
export interface FlowPoint {
  /** Deliveries stored. */
  readonly accepted: number;
  readonly delivered: number;
  /** Deliveries given up. */
  readonly dead: number;
  /** Attempts that were not accepted. */
  readonly failed: number;
  /** Pending deliveries. */
  readonly waiting: number;
  /** Fill ratio of the fullest tap queue, 0 to 1. */
  readonly tapFill: number;
}

export type FlowColumns = Readonly<Record<keyof FlowPoint, number[]>>;

export const flowKeys = ['accepted', 'delivered', 'dead', 'failed', 'waiting', 'tapFill'] as const satisfies readonly (keyof FlowPoint)[];

/** Events per second of a queue, averaged over the last minute. */
export interface QueueRates {
  readonly accepted: number;
  /** Deliveries that left the queue: delivered or given up. */
  readonly settled: number;
  /** Deliveries given up. */
  readonly dead: number;
  readonly attempts: number;
  readonly failed: number;
}

/** Points kept: one hour. */
export const flowSeconds = 3600;

const stepMs = 1000;

/** Seconds over which the rates of a queue are averaged. */
const rateSeconds = 60;

interface FlowOptions {
  readonly events: EventBus;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
  /** The levels of a point, read once per second. Must be cheap. */
  readonly levels: () => Pick<FlowPoint, 'tapFill' | 'waiting'>;
}

/** Counts between start and stop. Restarting the service empties the rings. */
export class Flow implements Lifecycle {
  readonly #options: FlowOptions;
  readonly #lifecycle: Lifecycle;
  readonly #totals = { accepted: new Tally(), delivered: new Tally(), dead: new Tally(), failed: new Tally() };
  readonly #queues = new Series<QueueCounts, [pool: string, handler: string]>(() => new QueueCounts());
  readonly #rings: Readonly<Record<keyof FlowPoint, Float64Array>>;
  #seen = { accepted: 0, delivered: 0, dead: 0, failed: 0 };
  /** Number of points since the start. */
  #count = 0;
  #startedAt = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    const ring = () => new Float64Array(flowSeconds);
    this.#rings = { accepted: ring(), delivered: ring(), dead: ring(), failed: ring(), waiting: ring(), tapFill: ring() };
    this.#lifecycle = createLifecycle({ start: async () => this.#begin(), stop: async () => this.#cancelTimer() });
    this.#subscribe(options.events);
  }

  #subscribe(events: EventBus): void {
    const { accepted, delivered, dead, failed } = this.#totals;
    events.on('delivery.accepted', ({ pool, handler }) => {
      accepted.add();
      this.#queues.at(pool, handler).accepted += 1;
    });
    events.on('attempt.ended', (attempt) => {
      const queue = this.#queues.at(attempt.pool, attempt.handler);
      queue.attempts += 1;
      if (attempt.accepted) return;
      failed.add();
      queue.failed += 1;
    });
    events.on('delivery.settled', ({ pool, handler, disposition }) => {
      if (disposition !== 'delivered' && disposition !== 'dead') return;
      const queue = this.#queues.at(pool, handler);
      queue.settled += 1;
      if (disposition === 'dead') queue.dead += 1;
      (disposition === 'delivered' ? delivered : dead).add();
    });
    events.on('callback.failed', () => dead.add());
    events.on('backlog.overflow', (overflow) => this.#overflowed(overflow));
  }

  #overflowed({ pool, handler, policy, count }: Events['backlog.overflow']): void {
    if (policy === 'hold-intake') return;
    this.#totals.dead.add(count);
    if (policy === 'dead-letter-oldest') this.#queues.at(pool, handler).settled += count;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  #begin(): void {
    this.#startedAt = this.#options.clock.monotonic();
    this.#wait();
  }

  /** Waits for the next full second since the start, so that late timers do not add up. */
  #wait(): void {
    const { clock, timers } = this.#options;
    const due = this.#startedAt + (this.#count + 1) * stepMs;
    this.#cancelTimer = timers.after(Math.max(1, due - clock.monotonic()), () => {
      this.#advance();
      this.#wait();
    });
  }

  /** Adds a point for each second that has passed; after a pause of the process there are several, which share the counts. */
  #advance(): void {
    const passed = Math.floor((this.#options.clock.monotonic() - this.#startedAt) / stepMs) - this.#count;
    if (passed < 1) return;
    const point = this.#read(passed);
    const first = this.#count + Math.max(0, passed - flowSeconds);
    this.#count += passed;
    for (let second = first; second < this.#count; second += 1) {
      for (const key of flowKeys) this.#rings[key][second % flowSeconds] = point[key];
    }
    for (const [, queue] of this.#queues.cells()) queue.advance(passed);
  }

  #read(seconds: number): FlowPoint {
    const { accepted, delivered, dead, failed } = this.#totals;
    const totals = { accepted: accepted.total, delivered: delivered.total, dead: dead.total, failed: failed.total };
    const before = this.#seen;
    this.#seen = totals;
    return {
      accepted: (totals.accepted - before.accepted) / seconds,
      delivered: (totals.delivered - before.delivered) / seconds,
      dead: (totals.dead - before.dead) / seconds,
      failed: (totals.failed - before.failed) / seconds,
      ...this.#options.levels(),
    };
  }

  /** The number of the newest point: it grows by one each second. */
  get newest(): number {
    return this.#count;
  }

  /** Averages of the last full seconds, zeros before the first has passed; and the present levels. */
  mean(seconds: number): FlowPoint {
    const length = Math.min(seconds, this.#count, flowSeconds);
    const mean = (key: keyof FlowPoint): number => {
      let sum = 0;
      for (let back = 1; back <= length; back += 1) sum += this.#rings[key][(this.#count - back) % flowSeconds] ?? 0;
      return length === 0 ? 0 : sum / length;
    };
    return {
      ...{ accepted: mean('accepted'), delivered: mean('delivered'), dead: mean('dead'), failed: mean('failed') },
      ...this.#options.levels(),
    };
  }

  /** The last points, oldest first, with a column for each key. */
  columns(seconds = flowSeconds): FlowColumns {
    const length = Math.min(this.#count, seconds);
    const column = (key: keyof FlowPoint): number[] =>
      Array.from({ length }, (_, index) => this.#rings[key][(this.#count - length + index) % flowSeconds] ?? 0);
    return {
      ...{ accepted: column('accepted'), delivered: column('delivered'), dead: column('dead') },
      ...{ failed: column('failed'), waiting: column('waiting'), tapFill: column('tapFill') },
    };
  }

  queue(pool: string, handler: string): QueueRates {
    return this.#queues.at(pool, handler).rates();
  }
}

const rateKeys = ['accepted', 'settled', 'dead', 'attempts', 'failed'] as const satisfies readonly (keyof QueueRates)[];

/** Totals kept of a queue: those at the end of each second, and that before the first of them. */
const ringLength = rateSeconds + 1;

/** Counts of a queue, and their totals at the end of each of the last seconds. */
class QueueCounts {
  accepted = 0;
  settled = 0;
  dead = 0;
  attempts = 0;
  failed = 0;
  readonly #history: Readonly<Record<keyof QueueRates, Float64Array>>;
  #seconds = 0;

  constructor() {
    const ring = () => new Float64Array(ringLength);
    this.#history = { accepted: ring(), settled: ring(), dead: ring(), attempts: ring(), failed: ring() };
  }

  advance(passed: number): void {
    const first = this.#seconds + Math.max(0, passed - ringLength);
    this.#seconds += passed;
    for (let second = first; second < this.#seconds; second += 1) {
      for (const key of rateKeys) this.#history[key][second % ringLength] = this[key];
    }
  }

  rates(): QueueRates {
    const rate = (key: keyof QueueRates): number => {
      const covered = Math.min(this.#seconds, rateSeconds);
      if (covered === 0) return 0;
      const before = this.#seconds <= rateSeconds ? 0 : (this.#history[key][this.#seconds % ringLength] ?? 0);
      return Math.max(0, this[key] - before) / covered;
    };
    return { accepted: rate('accepted'), settled: rate('settled'), dead: rate('dead'), attempts: rate('attempts'), failed: rate('failed') };
  }
}
