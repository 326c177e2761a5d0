import type { RateLimit } from '../config/config.ts';
import { TokenBucket } from '../kit/pacing.ts';
import type { EventSink } from '../telemetry/events.ts';

/** A pool's rate limit. Instants are of a clock that never jumps, ms. */
export interface Throttle {
  /** How long until the next may go, ms; 0: now. */
  waitMs(now: number): number;
  take(now: number): void;
  /** Somebody waits for nothing but the limit: told once for each wait. */
  tell(now: number): void;
}

export function createThrottle(pool: string, limit: RateLimit | undefined, events: EventSink): Throttle {
  const bucket = new TokenBucket(limit);
  let toldUntil = Number.NEGATIVE_INFINITY;

  return {
    waitMs: (now) => bucket.waitMs(now),
    take: (now) => bucket.take(now),
    tell: (now) => {
      const waitMs = bucket.waitMs(now);
      if (waitMs === 0 || now < toldUntil) return;
      toldUntil = now + waitMs;
      events.emit('pool.throttled', { pool, waitMs });
    },
  };
}
