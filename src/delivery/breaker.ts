/**
 * A circuit breaker on a monotonic clock:
 *
 *   closed → open            too many of the recent attempts failed
 *   open → half-open         the open time is over: one attempt may be made as a probe
 *   half-open → open         the probe failed: open for twice as long
 *   half-open → slow-start   the probe succeeded: two attempts at once
 *   slow-start → closed      each success allows one more attempt at once, until all workers may send
 *   slow-start → open        each failure halves the number of attempts; a failure at one opens the breaker
 */
import type { CircuitBreakerConfig } from '../config/config.ts';
import type { BreakerState } from '../telemetry/events.ts';

interface BreakerOptions {
  /** Undefined: the breaker never opens. */
  readonly config: CircuitBreakerConfig | undefined;
  /** Attempts at once that end the slow start. */
  readonly workers: number;
  readonly onState: (state: BreakerState, reason: string) => void;
}

type Condition =
  | { readonly kind: 'closed' }
  | { readonly kind: 'half-open' }
  | { readonly kind: 'open'; readonly until: number }
  | { readonly kind: 'slow-start'; readonly limit: number };

export class Breaker {
  readonly #config: CircuitBreakerConfig | undefined;
  readonly #workers: number;
  readonly #onState: (state: BreakerState, reason: string) => void;
  readonly #recent: AttemptWindow;
  #condition: Condition = { kind: 'closed' };
  #nextOpenMs: number;

  constructor({ config, workers, onState }: BreakerOptions) {
    this.#config = config;
    this.#workers = workers;
    this.#onState = onState;
    this.#recent = new AttemptWindow(config?.windowMs ?? 0);
    this.#nextOpenMs = config?.openMs ?? 0;
  }

  get state(): BreakerState {
    return this.#condition.kind;
  }

  /** Maximum number of attempts in flight at `now`; an open breaker whose time is over becomes half-open. */
  allowance(now: number): number {
    if (this.#condition.kind === 'open' && now >= this.#condition.until)
      this.#become({ kind: 'half-open' }, 'one attempt is allowed as a probe');
    switch (this.#condition.kind) {
      case 'closed':
        return Number.POSITIVE_INFINITY;
      case 'half-open':
        return 1;
      case 'open':
        return 0;
      case 'slow-start':
        return this.#condition.limit;
      default:
        return this.#condition satisfies never;
    }
  }

  /** Remaining open time, ms; undefined if the breaker is not open or its time is over. */
  opensInMs(now: number): number | undefined {
    return this.#condition.kind === 'open' && now < this.#condition.until ? this.#condition.until - now : undefined;
  }

  record(result: AttemptResult, now: number): void {
    if (this.#config === undefined) return;
    if (result === 'failed') this.#failed(this.#config, now);
    else this.#succeeded(this.#config, now);
  }

  #failed({ minAttempts, failureRatio, maxOpenMs }: CircuitBreakerConfig, now: number): void {
    switch (this.#condition.kind) {
      case 'closed': {
        this.#recent.add('failed', now);
        const { attempts, failures } = this.#recent;
        if (attempts < minAttempts || failures < attempts * failureRatio) return;
        return this.#open(maxOpenMs, now, `${failures} of ${attempts} attempts failed`);
      }
      case 'half-open':
        return this.#open(maxOpenMs, now, 'the probe failed');
      case 'open':
        return; // the attempt began before the breaker opened
      case 'slow-start':
        if (this.#condition.limit < 2) return this.#open(maxOpenMs, now, 'an attempt failed during the slow start');
        return this.#become({ kind: 'slow-start', limit: Math.floor(this.#condition.limit / 2) }, '');
      default:
        return this.#condition satisfies never;
    }
  }

  #succeeded({ openMs }: CircuitBreakerConfig, now: number): void {
    switch (this.#condition.kind) {
      case 'closed':
        return this.#recent.add('succeeded', now);
      case 'half-open':
        return this.#become({ kind: 'slow-start', limit: 2 }, 'the probe succeeded');
      case 'open':
        return;
      case 'slow-start':
        if (this.#condition.limit < this.#workers) return this.#become({ kind: 'slow-start', limit: this.#condition.limit + 1 }, '');
        this.#nextOpenMs = openMs;
        return this.#become({ kind: 'closed' }, 'the backend has recovered');
      default:
        return this.#condition satisfies never;
    }
  }

  #open(maxOpenMs: number, now: number, reason: string): void {
    const openMs = this.#nextOpenMs;
    this.#recent.clear();
    this.#become({ kind: 'open', until: now + openMs }, `${reason}: nothing is sent for ${openMs} ms`);
    this.#nextOpenMs = Math.min(maxOpenMs, openMs * 2);
  }

  #become(next: Condition, reason: string): void {
    const isNew = next.kind !== this.#condition.kind;
    this.#condition = next;
    if (isNew) this.#onState(next.kind, reason);
  }

  /** Closes the breaker and forgets all attempts. */
  reset(reason: string): void {
    this.#recent.clear();
    this.#nextOpenMs = this.#config?.openMs ?? 0;
    this.#become({ kind: 'closed' }, reason);
  }
}

type AttemptResult = 'failed' | 'succeeded';

interface Slot {
  readonly number: number;
  attempts: number;
  failures: number;
}

/** The window slides in tenths of its length. */
const slotsPerWindow = 10;

/** Counts the attempts and failures of a sliding time window. */
class AttemptWindow {
  readonly #slotMs: number;
  readonly #slots: Slot[] = [];
  attempts = 0;
  failures = 0;

  constructor(windowMs: number) {
    this.#slotMs = windowMs / slotsPerWindow;
  }

  add(result: AttemptResult, now: number): void {
    const slot = this.#slotAt(now);
    slot.attempts += 1;
    this.attempts += 1;
    if (result === 'succeeded') return;
    slot.failures += 1;
    this.failures += 1;
  }

  #slotAt(now: number): Slot {
    const number = Math.floor(now / this.#slotMs);
    const last = this.#slots.at(-1);
    if (last?.number === number) return last;
    const slot = { number, attempts: 0, failures: 0 };
    this.#slots.push(slot);
    this.#dropBefore(number - slotsPerWindow + 1);
    return slot;
  }

  #dropBefore(number: number): void {
    for (let first = this.#slots[0]; first !== undefined && first.number < number; first = this.#slots[0]) {
      this.attempts -= first.attempts;
      this.failures -= first.failures;
      this.#slots.shift();
    }
  }

  clear(): void {
    this.#slots.length = 0;
    this.attempts = 0;
    this.failures = 0;
  }
}
