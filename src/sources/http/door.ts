import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { HttpAttachment } from '../../config/config.ts';
import type { Clock } from '../../kit/clock.ts';
import { TokenBucket } from '../../kit/pacing.ts';
import { checkLength, readBasic } from '../../kit/request-guard.ts';
import { Secret } from '../../kit/secret.ts';
import { type Refusal, unauthorized } from './answer.ts';

/** Looks at a request before its body is read. Undefined: it may come in. */
export type Door = (request: IncomingMessage) => Refusal | undefined;

const formType = /^application\/x-www-form-urlencoded *(?:; *charset="?utf-8"? *)?$/i;

/**
 * Lets in what comes from no browser and no pusher, shows the credentials, is addressed right, keeps to the rate limit,
 * and announces a form that is not too large. Strangers learn nothing but that, and do not count against the rate limit.
 */
export function createDoor(attachment: HttpAttachment, clock: Pick<Clock, 'monotonic'>): Door {
  const bucket = new TokenBucket(attachment.rateLimit);
  const isKnown = credentialCheck(attachment.credentials);

  function throttled(): Refusal | undefined {
    const now = clock.monotonic();
    const waitMs = bucket.waitMs(now);
    if (waitMs === 0) {
      bucket.take(now);
      return undefined;
    }
    const headers = { 'retry-after': String(Math.ceil(waitMs / 1000)) };
    return { status: 429, headers, reason: 'rate-limited', text: 'more requests than rate_limit allows' };
  }

  return (request) =>
    fromBrowser(request.headers) ??
    fromPusher(request.headers) ??
    (isKnown(request.headers.authorization) ? undefined : unauthorized) ??
    misdirected(request, attachment.path) ??
    throttled() ??
    unfit(request.headers, attachment.maxBodyBytes);
}

/** A page in a browser of this machine could post a form here too, and so forge messages; its browser says so (Fetch §3.2). */
function fromBrowser({ origin }: IncomingHttpHeaders): Refusal | undefined {
  return origin === undefined ? undefined : { status: 403, reason: 'forged', text: 'nothing is taken from web pages' };
}

/** A push must never come back as a packet: with a pool that leads here it would be pushed for ever. */
function fromPusher({ 'event-pusher-attempt': attempt }: IncomingHttpHeaders): Refusal | undefined {
  return attempt === undefined ? undefined : { status: 403, reason: 'own', text: 'nothing is taken from a pusher' };
}

/** Basic authentication (RFC 7617). */
function credentialCheck(credentials: HttpAttachment['credentials']): (header: string | undefined) => boolean {
  if (credentials === undefined) return () => true;
  const expected = new Secret(`${credentials.username}:${credentials.password.reveal()}`);
  return (header) => {
    const offered = readBasic(header);
    return offered !== undefined && expected.matches(offered);
  };
}

function misdirected({ method, url = '' }: IncomingMessage, path: string): Refusal | undefined {
  if (url.split('?', 1)[0] !== path) return { status: 404, reason: 'malformed', text: `posts are taken at ${path} alone` };
  if (method === 'POST') return undefined;
  return { status: 405, headers: { allow: 'POST' }, reason: 'malformed', text: 'only POST is taken here' };
}

function unfit(headers: IncomingHttpHeaders, maxBytes: number): Refusal | undefined {
  const wrongLength = checkLength(headers, maxBytes);
  if (wrongLength !== undefined) return { ...wrongLength, reason: 'malformed' };
  const { 'content-type': type = '', 'content-encoding': encoding } = headers;
  if (formType.test(type) && encoding === undefined) return undefined;
  return { status: 400, reason: 'malformed', text: 'the body must be application/x-www-form-urlencoded, in UTF-8 and not compressed' };
}
