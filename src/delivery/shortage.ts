/**
 * This machine or process has no descriptor, port or memory left for a connection. That says nothing of any backend, so it
 * spends no attempt and trips no circuit breaker: what met it is held here and goes again shortly, and meanwhile the pool sends
 * nothing else.
 *
 *   none → lasting → (the hold ends, an attempt reaches its backend) none
 *               ↑        ↓ or meets it again
 *               └────────┘
 */
import { LOCAL_SHORTAGE } from '../kit/dial-tcp.ts';
import type { Timers } from '../kit/timers.ts';
import type { Claimed } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Attempt, Reply } from './attempt.ts';

export interface ShortageParts {
  readonly pool: string;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Called for each that was held: it may go again. */
  readonly onOver: (delivery: Claimed) => void;
}

/** How long what met it is held, ms. */
const HOLD_MS = 1000;

export class Shortage {
  readonly #parts: ShortageParts;
  #held: Claimed[] = [];
  #lasts = false;
  #callOff: () => void = () => undefined;

  constructor(parts: ShortageParts) {
    this.#parts = parts;
  }

  /** Something is held: nothing else is to be sent. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Whether an attempt met it, and spent nothing. */
  isMetBy({ outcome }: Reply): boolean {
    const { pool, events } = this.#parts;
    const met = outcome.kind === 'unsent' && outcome.code === LOCAL_SHORTAGE;
    if (met) events.emit('pool.shortage', { pool, state: this.#lasts ? 'lasts' : 'began', reason: outcome.message });
    else if (this.#lasts) events.emit('pool.shortage', { pool, state: 'ended', reason: '' });
    this.#lasts = met;
    return met;
  }

  readonly hold = ({ delivery }: Attempt): void => {
    this.#held.push(delivery);
    if (this.#held.length > 1) return;
    this.#callOff = this.#parts.timers.after(HOLD_MS, () => this.release().forEach(this.#parts.onOver));
  };

  /** Gives all that is held, and holds it no longer. */
  release(): readonly Claimed[] {
    this.#callOff();
    const held = this.#held;
    this.#held = [];
    return held;
  }
}
