/**
 * Decides whether an attempt may begin now: by the circuit breaker of the pool, the breaker of each handler, pauses that backends
 * ask for with 429, the rate limit, and local shortages. Deliveries that may not be sent wait without spending attempts; a
 * blocked handler does not block the other handlers of its pool.
 *
 * `now` is on the monotonic clock, ms.
 */
import type { CircuitBreakerConfig, RateLimit } from '../config/config.ts';
import type { Clock, EpochMs, Timers } from '../kit/clock.ts';
import { LOCAL_SHORTAGE } from '../kit/dial-tcp.ts';
import { TokenBucket } from '../kit/pacing.ts';
import type { Claimed } from '../model/delivery.ts';
import type { BreakerState, EventSink } from '../telemetry/events.ts';
import type { Attempt, ConcludedAttempt, Reply } from './attempt.ts';
import { Breaker } from './breaker.ts';
import { type BackendHealth, healthOf, retryAfterMs } from './classify.ts';
import { maxRetryAfterMs } from './decide.ts';

interface AdmissionOptions {
  readonly pool: string;
  readonly workers: number;
  readonly config: CircuitBreakerConfig | undefined;
  readonly clock: Clock;
  readonly events: EventSink;
  /** A handler has just been blocked: its claimed deliveries go back to the spool. */
  readonly onBlocked: (handler: string) => void;
}

/** State that the handlers of a pool share. */
interface PoolState {
  readonly breaker: Breaker;
  inFlight: number;
}

/** The circuit breakers and pauses of a pool. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #pool: PoolState;
  readonly #handlers = new Map<string, HandlerAdmission>();
  /** Those that were blocked, until their block is over. */
  readonly #blocked = new Set<HandlerAdmission>();

  constructor(options: AdmissionOptions) {
    const onBlocked = (handler: string): void => {
      this.#blocked.add(this.handler(handler));
      options.onBlocked(handler);
    };
    this.#options = { ...options, onBlocked };
    this.#pool = { breaker: this.#createBreaker(''), inFlight: 0 };
  }

  #createBreaker(handler: string): Breaker {
    const { pool, config, workers, events, onBlocked } = this.#options;
    const onState = (state: BreakerState, reason: string): void => {
      events.emit('breaker.state', { pool, handler, state, reason });
      if (state === 'open' && handler !== '') onBlocked(handler);
    };
    return new Breaker({ config, workers, onState });
  }

  /** The state of the pool's own breaker. */
  get state(): BreakerState {
    return this.#pool.breaker.state;
  }

  handler(name: string): HandlerAdmission {
    const known = this.#handlers.get(name);
    if (known !== undefined) return known;
    const handler = new HandlerAdmission(name, { ...this.#options, shared: this.#pool, breaker: this.#createBreaker(name) });
    this.#handlers.set(name, handler);
    return handler;
  }

  /** Records the end of an attempt in the breakers, and pauses its handler if the backend asks for it. */
  record(concluded: ConcludedAttempt): void {
    const { attempt, outcome, judgement, verdict } = concluded;
    const now = this.#options.clock.monotonic();
    const handler = this.handler(attempt.delivery.handler);
    handler.ended(healthOf(outcome, judgement, verdict), now);
    const pauseMs = askedPauseMs(concluded);
    if (pauseMs !== undefined) handler.pause(pauseMs, now);
  }

  /** Time until the first open breaker or pause may end by itself, ms; undefined if there is none. */
  opensInMs(now: number): number | undefined {
    let soonest = this.#pool.breaker.opensInMs(now);
    for (const handler of this.#blocked) {
      const wait = handler.opensInMs(now);
      if (wait === undefined) this.#blocked.delete(handler);
      else if (soonest === undefined || wait < soonest) soonest = wait;
    }
    return soonest;
  }

  /** Closes the breakers of all other handlers, so that no alert remains for a removed handler. */
  keepOnly(names: readonly string[]): void {
    for (const [name, handler] of this.#handlers)
      if (!names.includes(name)) handler.reset('the handler is no longer configured on this pool');
  }

  /** Closes all breakers: the pool is removed. */
  close(): void {
    this.keepOnly([]);
    this.#pool.breaker.reset('the pool was removed or replaced');
  }
}

interface HandlerAdmissionOptions extends AdmissionOptions {
  readonly shared: PoolState;
  readonly breaker: Breaker;
}

/** Admission of one handler to its pool. */
export class HandlerAdmission {
  readonly #name: string;
  readonly #options: HandlerAdmissionOptions;
  #inFlight = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(name: string, options: HandlerAdmissionOptions) {
    this.#name = name;
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#options.breaker.state;
  }

  /** End of the pause that the backend has asked for; undefined without one. */
  pausedUntil(now: number): EpochMs | undefined {
    return now < this.#pausedUntil ? this.#options.clock.now() + (this.#pausedUntil - now) : undefined;
  }

  /** Number of further attempts that may begin now; 0 if blocked, or if enough are in flight. */
  capacity(now: number): number {
    const { shared } = this.#options;
    return Math.min(shared.breaker.allowance(now) - shared.inFlight, this.#allowance(now) - this.#inFlight);
  }

  /** Whether no attempt may begin even if none is in flight. */
  isBlocked(now: number): boolean {
    return this.#options.shared.breaker.allowance(now) === 0 || this.#allowance(now) === 0;
  }

  #allowance(now: number): number {
    return now < this.#pausedUntil ? 0 : this.#options.breaker.allowance(now);
  }

  began(): void {
    this.#options.shared.inFlight += 1;
    this.#inFlight += 1;
  }

  /** A backend that responds is reachable: so `failing` counts as a success for the breaker of the pool. */
  ended(health: BackendHealth, now: number): void {
    const { shared, breaker } = this.#options;
    shared.inFlight -= 1;
    this.#inFlight -= 1;
    switch (health) {
      case 'failing':
        shared.breaker.record('succeeded', now);
        return breaker.record('failed', now);
      case 'healthy':
        shared.breaker.record('succeeded', now);
        return breaker.record('succeeded', now);
      case 'unknown':
        return;
      case 'unreachable':
        return shared.breaker.record('failed', now);
      default:
        return health satisfies never;
    }
  }

  /** Blocks the handler for `ms`; a shorter pause than the current one has no effect. */
  pause(ms: number, now: number): void {
    if (now + ms <= this.#pausedUntil) return;
    const { pool, clock, events, onBlocked } = this.#options;
    this.#pausedUntil = now + ms;
    events.emit('handler.paused', { pool, handler: this.#name, until: clock.now() + ms });
    onBlocked(this.#name);
  }

  opensInMs(now: number): number | undefined {
    return now < this.#pausedUntil ? this.#pausedUntil - now : this.#options.breaker.opensInMs(now);
  }

  reset(reason: string): void {
    this.#options.breaker.reset(reason);
  }
}

/**
 * The pause that a backend asks for with 429, ms: it concerns all requests of the handler (RFC 6585 §4). The later of
 * `Retry-After` and the delivery's own wait. Undefined if the backend has not asked, or if the pool classifies 429 differently.
 * Orders go to many backends, and a question is sent once, so neither pauses its handler.
 */
export function askedPauseMs({ attempt, outcome, verdict, disposition, at }: ConcludedAttempt): number | undefined {
  if (attempt.delivery.target.purpose !== undefined) return undefined;
  if (outcome.kind !== 'answered' || outcome.status !== 429 || verdict.kind !== 'deferred') return undefined;
  const hintMs = Math.min(retryAfterMs(outcome.retryAfter, at) ?? 0, maxRetryAfterMs);
  return Math.max(hintMs, disposition.kind === 'retry' ? disposition.notBefore - at : minPauseMs);
}

/** Pause after a 429 without `Retry-After` to a delivery that is not retried, ms. */
const minPauseMs = 1000;

/** The rate limit of a pool. */
export class Throttle {
  readonly #pool: string;
  readonly #bucket: TokenBucket;
  readonly #events: EventSink;
  #reportedUntil = Number.NEGATIVE_INFINITY;

  constructor(pool: string, limit: RateLimit | undefined, events: EventSink) {
    this.#pool = pool;
    this.#bucket = new TokenBucket(limit);
    this.#events = events;
  }

  /** Time until the next attempt may begin, ms; 0: now. */
  waitMs(now: number): number {
    return this.#bucket.waitMs(now);
  }

  take(now: number): void {
    this.#bucket.take(now);
  }

  /** Emits that deliveries wait only for the rate limit, once per wait. */
  report(now: number): void {
    const waitMs = this.#bucket.waitMs(now);
    if (waitMs === 0 || now < this.#reportedUntil) return;
    this.#reportedUntil = now + waitMs;
    this.#events.emit('pool.throttled', { pool: this.#pool, waitMs });
  }
}

interface ShortageOptions {
  readonly pool: string;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Called for each held delivery when it may be sent again. */
  readonly onOver: (delivery: Claimed) => void;
}

/** How long a delivery is held, ms. */
const holdMs = 1000;

/**
 * A local shortage: this machine or process has no descriptor, port or memory left for a connection. The backend is not at fault,
 * so no attempt is spent and no circuit breaker opens: the affected deliveries are held here and sent again shortly, and the pool
 * sends no others until then.
 *
 *   none → lasting → (the hold ends, an attempt reaches its backend) none
 *               ↑        ↓ or fails for the same reason
 *               └────────┘
 */
export class Shortage {
  readonly #options: ShortageOptions;
  #held: Claimed[] = [];
  #lasts = false;
  #cancelTimer: () => void = () => undefined;

  constructor(options: ShortageOptions) {
    this.#options = options;
  }

  /** Whether a delivery is held; the pool then sends no other. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Whether an attempt failed because of a shortage and does not count. Emits the beginning and end of a shortage. */
  caused({ outcome }: Reply): boolean {
    const { pool, events } = this.#options;
    const caused = outcome.kind === 'unsent' && outcome.code === LOCAL_SHORTAGE;
    if (caused) events.emit('pool.shortage', { pool, state: this.#lasts ? 'lasts' : 'began', reason: outcome.message });
    else if (this.#lasts) events.emit('pool.shortage', { pool, state: 'ended', reason: '' });
    this.#lasts = caused;
    return caused;
  }

  readonly hold = ({ delivery }: Attempt): void => {
    this.#held.push(delivery);
    if (this.#held.length > 1) return;
    this.#cancelTimer = this.#options.timers.after(holdMs, () => this.release().forEach(this.#options.onOver));
  };

  /** Releases and returns all held deliveries. */
  release(): readonly Claimed[] {
    this.#cancelTimer();
    const held = this.#held;
    this.#held = [];
    return held;
  }
}
