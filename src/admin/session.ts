/**
 * Sign-in of a browser: a cookie in place of the token. It proves that its holder had the token when it was issued, for twelve hours.
 * Its key is derived from `[admin] token`, so it survives a restart; without that token it is random, and a restart ends all sessions.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../kit/clock.ts';
import type { Principal, Principals } from './principals.ts';

interface SessionOptions {
  readonly principals: Principals;
  readonly clock: Pick<Clock, 'now'>;
  /** Cookies do not depend on the port, so services on one host need different names. */
  readonly port: number;
}

const lifetimeSeconds = 12 * 3600;

/** Cookies of a request that are read. */
const maxCookies = 100;

export class Sessions {
  readonly #options: SessionOptions;
  readonly #name: string;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#name = `event_pusher_${options.port}`;
  }

  /** The `set-cookie` header for the holder of a token; undefined if `offered` is none. */
  open(offered: string, { secure }: { readonly secure: boolean }): string | undefined {
    const { principals, clock } = this.#options;
    const principal = principals.ofToken(offered);
    if (principal === undefined) return undefined;
    const endsAt = String(Math.floor(clock.now() / 1000) + lifetimeSeconds);
    return this.#cookie(`${endsAt}.${this.#sign(endsAt, principal)}.${principal.name}`, { maxAge: lifetimeSeconds, secure });
  }

  /** The `set-cookie` header that ends the session of a browser. */
  close(): string {
    return this.#cookie('', { maxAge: 0, secure: false });
  }

  #cookie(value: string, { maxAge, secure }: { readonly maxAge: number; readonly secure: boolean }): string {
    return `${this.#name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
  }

  /** The principal whose session a Cookie header contains. */
  find(header: string | undefined): Principal | undefined {
    const prefix = `${this.#name}=`;
    const cookies = header?.split(';', maxCookies).map((cookie) => cookie.trim()) ?? [];
    for (const cookie of cookies) {
      const principal = cookie.startsWith(prefix) ? this.#read(cookie.slice(prefix.length)) : undefined;
      if (principal !== undefined) return principal;
    }
    return undefined;
  }

  #read(value: string): Principal | undefined {
    const { principals, clock } = this.#options;
    const [, endsAt = '', signature = '', name = ''] = /^(\d{1,12})\.([\w-]{43})\.([\w.@-]*)$/.exec(value) ?? [];
    const principal = principals.ofName(name);
    if (principal === undefined || Number(endsAt) * 1000 <= clock.now()) return undefined;
    return timingSafeEqual(Buffer.from(signature), Buffer.from(this.#sign(endsAt, principal))) ? principal : undefined;
  }

  #sign(endsAt: string, principal: Principal): string {
    return createHmac('sha256', this.#options.principals.sessionKey(principal)).update(`${endsAt}.${principal.name}`).digest('base64url');
  }
}
