/**
 * The access token of a pool's requests. It is requested when a first request needs it, once for all that wait for it:
 *
 *   none → requested → valid → renewed in the background before it expires → valid
 *                      valid → doubted, after a 401: requests wait for its successor, and use it if there is none
 *
 * After a failure, the endpoint is asked again after a wait that doubles; until then requests fail at once, for the same reason.
 */
import type { Clock } from '../src/kit/clock.ts';
import { type Backoff, backoffMs, type Random } from '../src/kit/pacing.ts';

/** Result of a request for a token. */
export type TokenAnswer =
  | { readonly kind: 'token'; readonly token: string; readonly lifetimeMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

interface AccessTokensOptions {
  /** Asks the endpoint. Must end by itself and not reject. */
  readonly request: () => Promise<TokenAnswer>;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly random: Random;
}

type Use = (answer: TokenAnswer) => void;

/** A valid token. Instants are monotonic, in ms. */
interface Current {
  readonly answer: TokenAnswer & { readonly kind: 'token' };
  readonly expiresAt: number;
  readonly renewedAt: number;
}

const backoff: Backoff = { firstMs: 1000, capMs: 60_000, jitter: 0.2 };

/** A token is renewed when a fifth of its lifetime is left, at most this long before its end, ms. */
const maxEarlyMs = 60_000;
const earlyShare = 0.2;

/** A backend that refuses every token must not cause a request to the endpoint for each of its answers. */
const refusalsEveryMs = 30_000;

/** Tokens whose text may appear in responses of the backend. */
const rememberedTokens = 4;

export class AccessTokens {
  readonly #options: AccessTokensOptions;
  readonly #waiting: Use[] = [];
  #isDoubted = false;
  readonly #recent: string[] = [];
  #current: Current | undefined;
  #isRequested = false;
  #failures = 0;
  #failure = '';
  #notBefore = Number.NEGATIVE_INFINITY;
  #refusedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AccessTokensOptions) {
    this.#options = options;
  }

  /** Calls `use` once, with a valid token or the failure: at once if possible, otherwise after the request for it. */
  take(use: Use): void {
    const now = this.#options.clock.monotonic();
    const current = this.#valid(now);
    if (current !== undefined && (!this.#isDoubted || now < this.#notBefore)) {
      if (now >= current.renewedAt && now >= this.#notBefore) this.#request();
      return use(current.answer);
    }
    if (now < this.#notBefore) return use({ kind: 'failed', reason: this.#failure });
    this.#waiting.push(use);
    this.#request();
  }

  /** The backend has answered 401 to a request with this token: the next request needs another, if there is another. */
  refused(token: string): void {
    const now = this.#options.clock.monotonic();
    if (this.#current?.answer.token !== token || now < this.#refusedAt + refusalsEveryMs) return;
    this.#refusedAt = now;
    this.#isDoubted = true;
  }

  /** A text without the tokens, which backends may quote in their answers. */
  readonly mask = (text: string): string => this.#recent.reduce((rest, token) => rest.replaceAll(token, maskOf(token)), text);

  #valid(now: number): Current | undefined {
    return this.#current !== undefined && now < this.#current.expiresAt ? this.#current : undefined;
  }

  #request(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    void this.#options.request().then((answer) => {
      this.#isRequested = false;
      this.#keep(answer);
      const usable = this.#valid(this.#options.clock.monotonic())?.answer ?? answer; // a token that one backend doubts may serve others
      for (const use of this.#waiting.splice(0)) use(usable);
    });
  }

  #keep(answer: TokenAnswer): void {
    const now = this.#options.clock.monotonic();
    switch (answer.kind) {
      case 'failed':
        this.#failures += 1;
        this.#failure = answer.reason;
        this.#notBefore = now + backoffMs(backoff, this.#failures, this.#options.random);
        return;
      case 'token': {
        const expiresAt = now + answer.lifetimeMs;
        this.#current = { answer, expiresAt, renewedAt: expiresAt - Math.min(maxEarlyMs, answer.lifetimeMs * earlyShare) };
        this.#isDoubted = false;
        this.#failures = 0;
        this.#notBefore = Number.NEGATIVE_INFINITY;
        this.#recent.unshift(answer.token);
        this.#recent.splice(rememberedTokens);
        return;
      }
      default:
        return answer satisfies never;
    }
  }
}

const usualMask = '[redacted]';

/** Never longer than the token, so that short tokens cannot make a text many times longer. */
function maskOf(token: string): string {
  return token.length < usualMask.length ? '*'.repeat(token.length) : usualMask;
}
