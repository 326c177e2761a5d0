import type { Random } from './random.ts';

/** Waits that double from `firstMs` to `capMs`, each varied by up to `jitter` (0.2 = ±20 %) of itself. */
export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  readonly jitter: number;
}

/** The wait before try number `failures + 1`; `failures` counts from 1. Never above the cap. */
export function backoffMs({ firstMs, capMs, jitter }: Backoff, failures: number, random: Random): number {
  const plain = Math.min(capMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.min(capMs, jittered(plain, jitter, random));
}

/** Spreads a wait evenly over ±`jitter` of itself, so that what failed together does not come back together. */
export function jittered(waitMs: number, jitter: number, random: Random): number {
  return Math.max(0, Math.round(waitMs * (1 + jitter * (2 * random() - 1))));
}
