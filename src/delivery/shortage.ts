/**
 * This machine or process has no descriptor, port or memory left for a connection. The backend is not at fault, so no attempt
 * is spent and no circuit breaker opens: the affected deliveries are held here and sent again shortly, and the pool sends
 * no others until then.
 *
 *   none → lasting → (the hold ends, an attempt reaches its backend) none
 *               ↑        ↓ or meets it again
 *               └────────┘
 */

import type { Timers } from '../kit/clock.ts';
import { LOCAL_SHORTAGE } from '../kit/dial-tcp.ts';
import type { Claimed } from '../model/delivery.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Attempt, Reply } from './attempt.ts';

export interface ShortageParts {
  readonly pool: string;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Called for each held delivery when it may be sent again. */
  readonly onOver: (delivery: Claimed) => void;
}

/** How long a delivery is held, ms. */
const HOLD_MS = 1000;

export class Shortage {
  readonly #parts: ShortageParts;
  #held: Claimed[] = [];
  #lasts = false;
  #callOff: () => void = () => undefined;

  constructor(parts: ShortageParts) {
    this.#parts = parts;
  }

  /** Whether a delivery is held; the pool then sends no other. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Whether an attempt failed because of a shortage and does not count. */
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

  /** Releases and returns all held deliveries. */
  release(): readonly Claimed[] {
    this.#callOff();
    const held = this.#held;
    this.#held = [];
    return held;
  }
}
