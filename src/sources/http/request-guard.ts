/** Checks the posts of MongooseIM before their bodies are read, and the responses to requests that are not accepted. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { HttpAttachment } from '../../config/service-config.ts';
import type { Clock } from '../../kit/clock.ts';
import type { TextAnswer } from '../../kit/http-message.ts';
import { TokenBucket } from '../../kit/pacing.ts';
import { basicRequired, checkLength, readBasic, tooLarge } from '../../kit/request-guard.ts';
import { Secret } from '../../kit/secret.ts';

/** Why a request became no packet. The set is closed because it is a metric label. */
export type SkipReason = 'forged' | 'malformed' | 'overloaded' | 'own' | 'rate-limited' | 'unauthorized' | 'unknown-host';

/** The response to a request that is not accepted. The text is for people; MongooseIM reads no response. */
export interface Refusal extends TextAnswer {
  readonly reason: SkipReason;
}

export const overloaded: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  reason: 'overloaded',
  text: 'not accepted: the service is overloaded or stopping',
};

export const unauthorized: Refusal = { ...basicRequired, reason: 'unauthorized' };

export function bodyTooLarge(maxBytes: number): Refusal {
  return { ...tooLarge(maxBytes), reason: 'malformed' };
}

/** Whether the client has no business here: its connection is closed, so that it takes none of the connections of others. */
export function isForeign({ reason }: Refusal): boolean {
  return reason === 'forged' || reason === 'own' || reason === 'unauthorized';
}

/**
 * Refuses requests of browsers and pushers, checks credentials, path, method, rate and the declared form, in this order:
 * unauthenticated clients learn nothing about the rest and do not count against the rate limit.
 */
export class RequestGuard {
  readonly #attachment: HttpAttachment;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #bucket: TokenBucket;
  readonly #credentials: Secret | undefined;

  constructor(attachment: HttpAttachment, clock: Pick<Clock, 'monotonic'>) {
    const { credentials, rateLimit } = attachment;
    this.#attachment = attachment;
    this.#clock = clock;
    this.#bucket = new TokenBucket(rateLimit);
    this.#credentials = credentials && new Secret(`${credentials.username}:${credentials.password.reveal()}`);
  }

  /** Undefined: the request is accepted. */
  check(request: IncomingMessage): Refusal | undefined {
    const { headers } = request;
    const { path, maxBodyBytes } = this.#attachment;
    return (
      fromBrowser(headers) ??
      fromPusher(headers) ??
      (this.#isKnown(headers.authorization) ? undefined : unauthorized) ??
      misdirected(request, path) ??
      this.#throttle() ??
      wrongBody(headers, maxBodyBytes)
    );
  }

  #isKnown(header: string | undefined): boolean {
    if (this.#credentials === undefined) return true;
    const offered = readBasic(header);
    return offered !== undefined && this.#credentials.matches(offered);
  }

  #throttle(): Refusal | undefined {
    const now = this.#clock.monotonic();
    const waitMs = this.#bucket.waitMs(now);
    if (waitMs > 0) return rateLimited(waitMs);
    this.#bucket.take(now);
    return undefined;
  }
}

export function rateLimited(waitMs: number): Refusal {
  const headers = { 'retry-after': String(Math.ceil(waitMs / 1000)) };
  return { status: 429, headers, reason: 'rate-limited', text: 'more requests than rate_limit allows' };
}

/** A web page could forge messages by posting a form from a browser on this machine; browsers add `origin` (Fetch §3.2). */
function fromBrowser({ origin }: IncomingHttpHeaders): Refusal | undefined {
  return origin === undefined ? undefined : { status: 403, reason: 'forged', text: 'requests of web pages are not accepted' };
}

/** A push must never return as a packet: a pool that leads here would push it forever. */
export function fromPusher({ 'event-pusher-attempt': attempt }: IncomingHttpHeaders): Refusal | undefined {
  return attempt === undefined ? undefined : { status: 403, reason: 'own', text: 'requests of a pusher are not accepted' };
}

function misdirected({ method, url = '' }: IncomingMessage, path: string): Refusal | undefined {
  if (url.split('?', 1)[0] !== path) return { status: 404, reason: 'malformed', text: `posts are accepted only at ${path}` };
  if (method === 'POST') return undefined;
  return { status: 405, headers: { allow: 'POST' }, reason: 'malformed', text: 'only POST is accepted' };
}

const formType = /^application\/x-www-form-urlencoded *(?:; *charset="?utf-8"? *)?$/i;

function wrongBody(headers: IncomingHttpHeaders, maxBytes: number): Refusal | undefined {
  const wrongLength = checkLength(headers, maxBytes);
  if (wrongLength !== undefined) return { ...wrongLength, reason: 'malformed' };
  const { 'content-type': type = '', 'content-encoding': encoding } = headers;
  if (formType.test(type) && encoding === undefined) return undefined;
  return { status: 400, reason: 'malformed', text: 'the body must be application/x-www-form-urlencoded, in UTF-8 and not compressed' };
}
