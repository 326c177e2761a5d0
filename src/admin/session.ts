/**
 * Sign-in of a browser: a cookie in place of the token. It proves that its holder had the token when it was issued, for twelve hours.
 * Its key is derived from the token, so it survives a restart of the service, and a new token ends all sessions.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../kit/clock.ts';
import type { Secret } from '../kit/secret.ts';

interface SessionOptions {
  readonly token: Secret;
  readonly clock: Pick<Clock, 'now'>;
}

const lifetimeSeconds = 12 * 3600;

export class Sessions {
  readonly #token: Secret;
  readonly #key: Buffer;
  readonly #clock: Pick<Clock, 'now'>;
  /** Cookies do not depend on the port, so services with different tokens on one host need different names. */
  readonly #name: string;

  constructor({ token, clock }: SessionOptions) {
    this.#token = token;
    this.#clock = clock;
    this.#key = createHash('sha256').update(`event-pusher session\n${token.reveal()}`).digest();
    this.#name = `event_pusher_${createHash('sha256').update(this.#key).digest('hex').slice(0, 8)}`;
  }

  /** The `set-cookie` header for a caller with the token; undefined if `offered` is not the token. */
  open(offered: string, { secure }: { readonly secure: boolean }): string | undefined {
    if (!this.#token.matches(offered)) return undefined;
    const endsAt = String(Math.floor(this.#clock.now() / 1000) + lifetimeSeconds);
    return this.#cookie(`${endsAt}.${this.#sign(endsAt)}`, { maxAge: lifetimeSeconds, secure });
  }

  /** The `set-cookie` header that ends the session of a browser. */
  close(): string {
    return this.#cookie('', { maxAge: 0, secure: false });
  }

  #cookie(value: string, { maxAge, secure }: { readonly maxAge: number; readonly secure: boolean }): string {
    return `${this.#name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
  }

  /** Whether a Cookie header contains a valid session. */
  isOpen(header: string | undefined): boolean {
    if (header === undefined) return false;
    const prefix = `${this.#name}=`;
    const cookies = header.split(';', maxCookies).map((cookie) => cookie.trim());
    return cookies.some((cookie) => cookie.startsWith(prefix) && this.#isValid(cookie.slice(prefix.length)));
  }

  #isValid(value: string): boolean {
    const [, endsAt = '', signature = ''] = /^(\d{1,12})\.([\w-]{43})$/.exec(value) ?? [];
    if (Number(endsAt) * 1000 <= this.#clock.now()) return false;
    return timingSafeEqual(Buffer.from(signature), Buffer.from(this.#sign(endsAt)));
  }

  #sign(endsAt: string): string {
    return createHmac('sha256', this.#key).update(endsAt).digest('base64url');
  }
}

/** Cookies of a request that are read. */
const maxCookies = 100;
