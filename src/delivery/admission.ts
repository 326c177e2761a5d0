/**
 * Whether an attempt may begin now: the pool's circuit breaker, each handler's own, and what backends have asked for by 429.
 * What may not go waits without spending attempts; a handler that is shut never stops its siblings.
 *
 * Instants are of a clock that never jumps, ms.
 */
import type { CircuitBreakerConfig } from '../config/config.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import type { BreakerState, EventSink } from '../telemetry/events.ts';
import type { Concluded } from './attempt.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { type Fault, faultOf } from './fault.ts';
import { askedPatienceMs } from './patience.ts';

export interface Admission {
  /** The state of the pool's own breaker. */
  readonly state: BreakerState;
  handler(name: string): HandlerAdmission;
  /** An attempt ended: what it says of the backend. */
  heed(concluded: Concluded): void;
  /** How long until something that is shut may open by itself, ms; undefined while nothing is. */
  opensInMs(now: number): number | undefined;
  /** Only these handlers are served from now on: the breakers of others are closed, so that nobody is called for them. */
  serve(names: readonly string[]): void;
  /** The pool ends: so with all its breakers. */
  end(): void;
}

/** One handler's way into the pool. */
export interface HandlerAdmission {
  readonly state: BreakerState;
  /** Until when its backend has asked for patience; undefined when it has not. */
  pausedUntil(now: number): EpochMs | undefined;
  /** How many more attempts may begin now; 0: it is shut, or enough are under way. */
  room(now: number): number;
  /** Not even one attempt may begin, however few are under way. */
  isShut(now: number): boolean;
  began(): void;
  ended(fault: Fault, now: number): void;
  /** Nothing of it goes for so long. */
  pause(ms: number, now: number): void;
}

export interface AdmissionParts {
  readonly pool: string;
  readonly workers: number;
  readonly config: CircuitBreakerConfig | undefined;
  readonly clock: Clock;
  readonly events: EventSink;
  /** This handler has just been shut: what it holds is to be given back. */
  readonly onShut: (handler: string) => void;
}

export function createAdmission({ pool, workers, config, clock, events, onShut }: AdmissionParts): Admission {
  const handlers = new Map<string, HandlerAdmission & Pick<Breaker, 'opensInMs' | 'reset'>>();
  const whole = createBreaker({ config, workers, onState: (state, reason) => tell('', state, reason) });
  let underway = 0;

  function tell(handler: string, state: BreakerState, reason: string): void {
    events.emit('breaker.state', { pool, handler, state, reason });
    if (state === 'open' && handler !== '') onShut(handler);
  }

  function open(name: string) {
    const breaker = createBreaker({ config, workers, onState: (state, reason) => tell(name, state, reason) });
    let mine = 0;
    let pausedUntil = Number.NEGATIVE_INFINITY;

    function allowance(now: number): number {
      return now < pausedUntil ? 0 : breaker.allowance(now);
    }

    return {
      get state() {
        return breaker.state;
      },
      pausedUntil: (now: number) => (now < pausedUntil ? clock.now() + (pausedUntil - now) : undefined),
      room: (now: number) => Math.min(whole.allowance(now) - underway, allowance(now) - mine),
      isShut: (now: number) => whole.allowance(now) === 0 || allowance(now) === 0,
      began: () => {
        underway += 1;
        mine += 1;
      },
      ended: (fault: Fault, now: number) => {
        underway -= 1;
        mine -= 1;
        record(whole, breaker, { fault, now });
      },
      pause: (ms: number, now: number) => {
        if (now + ms <= pausedUntil) return;
        pausedUntil = now + ms;
        events.emit('handler.paused', { pool, handler: name, until: clock.now() + ms });
        onShut(name);
      },
      opensInMs: (now: number) => (now < pausedUntil ? pausedUntil - now : breaker.opensInMs(now)),
      reset: breaker.reset,
    };
  }

  function handlerOf(name: string): HandlerAdmission {
    const known = handlers.get(name) ?? open(name);
    handlers.set(name, known);
    return known;
  }

  function serve(names: readonly string[]): void {
    for (const [name, handler] of handlers) if (!names.includes(name)) handler.reset('it is served here no longer');
  }

  return {
    get state() {
      return whole.state;
    },
    handler: handlerOf,
    serve,
    end: () => {
      serve([]);
      whole.reset('its pool has ended');
    },
    heed: (concluded) => {
      const { attempt, outcome, judgement, verdict } = concluded;
      const now = clock.monotonic();
      const handler = handlerOf(attempt.delivery.handler);
      handler.ended(faultOf(outcome, judgement, verdict), now);
      const patienceMs = askedPatienceMs(concluded);
      if (patienceMs !== undefined) handler.pause(patienceMs, now);
    },
    opensInMs: (now) => {
      let soonest = whole.opensInMs(now);
      for (const handler of handlers.values()) {
        const wait = handler.opensInMs(now);
        if (wait !== undefined && (soonest === undefined || wait < soonest)) soonest = wait;
      }
      return soonest;
    },
  };
}

/** A backend that answers is there, whatever it answers: so a fault of a path is good news of the pool. */
function record(whole: Breaker, own: Breaker, { fault, now }: { readonly fault: Fault; readonly now: number }): void {
  switch (fault) {
    case 'connection':
      return whole.record('failed', now);
    case 'none':
      whole.record('succeeded', now);
      return own.record('succeeded', now);
    case 'ours':
      return;
    case 'path':
      whole.record('succeeded', now);
      return own.record('failed', now);
    default:
      return fault satisfies never;
  }
}
