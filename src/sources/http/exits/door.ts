import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Descriptor, ExitsAttachment } from '../../../config/config.ts';
import type { Clock } from '../../../kit/clock.ts';
import { TokenBucket } from '../../../kit/pacing.ts';
import { bodyTooLarge, type Refusal, unauthorized } from '../answer.ts';
import { readTarget } from './normal-path.ts';
import { Authenticator, readCredentials } from './password.ts';
import { createRoute } from './route.ts';

/** A request that may come in: for which descriptor, what it asks for, and who has shown credentials. */
export interface Admitted {
  readonly kind: 'admitted';
  readonly descriptor: Descriptor;
  readonly path: string;
  readonly query: string;
  readonly user: string | undefined;
}

export type Admission = Admitted | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Looks at a request, which came on a listener, before its body is read. */
export type Door = (request: IncomingMessage, listener: string) => Promise<Admission>;

/**
 * Checks descriptor, credentials, method, rate and size in this order, so that unauthenticated clients learn nothing about the
 * last three. A password that needs a hash is checked only if the rate limit allows it; a wrong password does not consume it.
 */
export function createDoor(attachment: ExitsAttachment, clock: Pick<Clock, 'monotonic'>): Door {
  const route = createRoute(attachment.descriptors);
  const users = new Authenticator(attachment.users);
  const bucket = new TokenBucket(attachment.rateLimit);

  function throttled(): Refusal | undefined {
    const waitMs = bucket.waitMs(clock.monotonic());
    const headers = { 'retry-after': String(Math.ceil(waitMs / 1000)) };
    return waitMs === 0 ? undefined : { status: 429, headers, reason: 'rate-limited', text: 'more requests than rate_limit allows' };
  }

  function counted(): undefined {
    bucket.take(clock.monotonic());
  }

  /** The user, or why there is none. */
  async function authenticate({ headers, socket }: IncomingMessage): Promise<string | Refusal> {
    const offered = readCredentials(headers.authorization);
    if (offered === undefined) return unauthorized;
    if (users.recognises(offered)) return offered.user;
    const refusal = throttled();
    if (refusal !== undefined) return refusal;
    const proof = await users.prove(offered, { address: socket.remoteAddress ?? '', gone: () => socket.destroyed });
    switch (proof.kind) {
      case 'busy':
        return crowdedLine;
      case 'known':
        return proof.user;
      case 'unknown':
        return unauthorized;
      default:
        return proof satisfies never;
    }
  }

  return async (request, listener) => {
    const target = readTarget(request.url ?? '');
    const descriptor = target && route(listener, target.path);
    const stranger = foreign(request, attachment.origins) ?? (request.rawHeaders.length > 2 * attachment.maxHeaders ? crowded : undefined);
    if (stranger !== undefined) return { kind: 'refused', refusal: stranger };
    if (target === undefined) return { kind: 'refused', refusal: { status: 400, reason: 'malformed', text: 'the path is none' } };
    if (descriptor === undefined)
      return { kind: 'refused', refusal: { status: 404, reason: 'malformed', text: 'nothing is taken at this path' } };

    const user = descriptor.userAuth === 'none' ? undefined : await authenticate(request);
    if (typeof user === 'object') return { kind: 'refused', refusal: user };
    const refusal =
      fromPusher(request.headers, descriptor) ??
      wrongMethod(request.method ?? '', descriptor) ??
      throttled() ??
      counted() ??
      unfit(request.headers, attachment.maxBodyBytes);
    return refusal === undefined ? { kind: 'admitted', descriptor, ...target, user } : { kind: 'refused', refusal };
  };
}

const crowded: Refusal = { status: 431, reason: 'malformed', text: 'the request has too many headers' };

const crowdedLine: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  reason: 'overloaded',
  text: 'too many passwords wait to be checked',
};

/** A web page of somebody else could have its visitors' browsers ask; they say so (Fetch §3.2, Fetch Metadata §2.2). */
function foreign({ headers }: IncomingMessage, origins: readonly string[]): Refusal | undefined {
  const { origin, 'sec-fetch-site': site } = headers;
  const isForeign = origin === undefined ? site === 'cross-site' || site === 'same-site' : !origins.includes(origin);
  return isForeign ? { status: 403, reason: 'forged', text: 'nothing is taken from web pages but those in `origins`' } : undefined;
}

/** A push must never come back as a packet: with a pool that leads here it would be pushed for ever. */
function fromPusher({ 'event-pusher-attempt': attempt }: IncomingHttpHeaders, { unit }: Descriptor): Refusal | undefined {
  if (attempt === undefined || unit.kind !== 'builtin' || unit.name !== 'PUSH') return undefined;
  return { status: 403, reason: 'own', text: 'nothing is taken from a pusher' };
}

const ofModules = ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'] as const;

/** What a user's exit or unit makes of a method is its business; what ours do is fixed. */
function wrongMethod(method: string, { exit, unit }: Descriptor): Refusal | undefined {
  const reads = unit.kind === 'builtin' && unit.name === 'STATUS';
  const ours = reads ? ['GET', 'HEAD'] : ['POST'];
  const allowed: readonly string[] = exit.kind === 'module' || unit.kind === 'module' ? ofModules : ours;
  if (allowed.includes(method)) return undefined;
  return { status: 405, headers: { allow: allowed.join(', ') }, reason: 'malformed', text: `taken here: ${allowed.join(', ')}` };
}

function unfit({ 'content-length': length, 'content-encoding': encoding }: IncomingHttpHeaders, maxBytes: number): Refusal | undefined {
  if (encoding !== undefined && encoding !== 'identity')
    return { status: 415, reason: 'malformed', text: 'the body must not be compressed' };
  return length !== undefined && Number(length) > maxBytes ? bodyTooLarge(maxBytes) : undefined;
}
