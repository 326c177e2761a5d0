/** Lets so many through per time, and a burst after a rest. Instants are of a clock that never jumps, ms. */
export interface TokenBucket {
  /** How long until the next token, ms; 0: there is one. */
  waitMs(now: number): number;
  /** Takes a token, which must be there. */
  take(now: number): void;
}

/** `requests` per `perMs` on average, `burst` at once at most. */
export interface TokenRate {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

/** Kept as the instant at which it is full again (the "virtual scheduling" of ITU-T I.371): no sum of fractions drifts. */
export function createTokenBucket({ requests, perMs, burst }: TokenRate): TokenBucket {
  const msPerToken = perMs / requests;
  const toleranceMs = (burst - 1) * msPerToken;
  let fullAt = Number.NEGATIVE_INFINITY;

  return {
    waitMs: (now) => Math.max(0, Math.ceil(fullAt - toleranceMs - now)),
    take: (now) => {
      fullAt = Math.max(fullAt, now) + msPerToken;
    },
  };
}

/** For what has no limit. */
export const unlimited: TokenBucket = { waitMs: () => 0, take: () => undefined };
