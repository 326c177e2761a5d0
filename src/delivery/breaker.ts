/**
 * A circuit breaker, on a clock that never jumps:
 *
 *   closed → open            too many of the last attempts failed
 *   open → half-open         its time is over: one attempt may try
 *   half-open → open         that failed: for twice as long
 *   half-open → slow-start   that succeeded: two at once
 *   slow-start → closed      each success lets one more go at once, until all workers may
 *   slow-start → open        each failure halves how many; of one nothing is left
 */
import type { CircuitBreakerConfig } from '../config/config.ts';
import type { BreakerState } from '../telemetry/events.ts';
import { createAttemptWindow } from './attempt-window.ts';

export interface Breaker {
  readonly state: BreakerState;
  /** How many attempts may be under way at `now`; an open one whose time is over becomes half-open. */
  allowance(now: number): number;
  /** How long it stays open yet, ms; undefined unless it is: nobody waits for one whose time is over. */
  opensInMs(now: number): number | undefined;
  record(result: 'failed' | 'succeeded', now: number): void;
  /** Forgets all: what it guarded is no longer there. */
  reset(reason: string): void;
}

export interface BreakerParts {
  /** Undefined: it never opens. */
  readonly config: CircuitBreakerConfig | undefined;
  /** So many at once, and a slow start is over. */
  readonly workers: number;
  readonly onState: (state: BreakerState, reason: string) => void;
}

export function createBreaker({ config, workers, onState }: BreakerParts): Breaker {
  return config === undefined ? neverOpen : createRealBreaker(config, { workers, onState });
}

const neverOpen: Breaker = {
  state: 'closed',
  allowance: () => Number.POSITIVE_INFINITY,
  opensInMs: () => undefined,
  record: () => undefined,
  reset: () => undefined,
};

type Condition =
  | { readonly kind: 'closed' }
  | { readonly kind: 'half-open' }
  | { readonly kind: 'open'; readonly until: number }
  | { readonly kind: 'slow-start'; readonly limit: number };

function createRealBreaker(config: CircuitBreakerConfig, { workers, onState }: Omit<BreakerParts, 'config'>): Breaker {
  const { failureRatio, minAttempts, windowMs, openMs, maxOpenMs } = config;
  const recent = createAttemptWindow(windowMs);
  let condition: Condition = { kind: 'closed' };
  let nextOpenMs = openMs;

  function become(next: Condition, reason: string): void {
    const isNews = next.kind !== condition.kind;
    condition = next;
    if (isNews) onState(next.kind, reason);
  }

  function open(now: number, reason: string): void {
    recent.clear();
    become({ kind: 'open', until: now + nextOpenMs }, `${reason}: nothing is sent for ${nextOpenMs} ms`);
    nextOpenMs = Math.min(maxOpenMs, nextOpenMs * 2);
  }

  function failed(now: number): void {
    switch (condition.kind) {
      case 'closed': {
        recent.add('failed', now);
        const { attempts, failures } = recent;
        if (attempts >= minAttempts && failures >= attempts * failureRatio) open(now, `${failures} of ${attempts} attempts failed`);
        return;
      }
      case 'half-open':
        return open(now, 'the probe failed');
      case 'open':
        return; // it was under way before
      case 'slow-start':
        if (condition.limit < 2) return open(now, 'it failed again');
        return become({ kind: 'slow-start', limit: Math.floor(condition.limit / 2) }, '');
      default:
        return condition satisfies never;
    }
  }

  function succeeded(now: number): void {
    switch (condition.kind) {
      case 'closed':
        recent.add('succeeded', now);
        return;
      case 'half-open':
        return become({ kind: 'slow-start', limit: 2 }, 'the probe succeeded');
      case 'open':
        return;
      case 'slow-start':
        if (condition.limit < workers) return become({ kind: 'slow-start', limit: condition.limit + 1 }, '');
        nextOpenMs = openMs;
        return become({ kind: 'closed' }, 'it has recovered');
      default:
        return condition satisfies never;
    }
  }

  function allowance(now: number): number {
    if (condition.kind === 'open' && now >= condition.until) become({ kind: 'half-open' }, 'one attempt may try');
    switch (condition.kind) {
      case 'closed':
        return Number.POSITIVE_INFINITY;
      case 'half-open':
        return 1;
      case 'open':
        return 0;
      case 'slow-start':
        return condition.limit;
      default:
        return condition satisfies never;
    }
  }

  function reset(reason: string): void {
    recent.clear();
    nextOpenMs = openMs;
    become({ kind: 'closed' }, reason);
  }

  return {
    get state() {
      return condition.kind;
    },
    allowance,
    opensInMs: (now) => (condition.kind === 'open' && now < condition.until ? condition.until - now : undefined),
    record: (result, now) => (result === 'failed' ? failed(now) : succeeded(now)),
    reset,
  };
}
