/** Checks a request before its body is read: descriptor, credentials, method, rate and size. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Descriptor, ExitsAttachment } from '../../../config/service-config.ts';
import type { Clock } from '../../../kit/clock.ts';
import { TokenBucket } from '../../../kit/pacing.ts';
import { bodyTooLarge, fromPusher, type Refusal, rateLimited, unauthorized } from '../request-guard.ts';
import { Authenticator, readCredentials } from './authenticator.ts';

/** An accepted request: its descriptor, path and query, and the authenticated user. */
export interface Admitted {
  readonly kind: 'admitted';
  readonly descriptor: Descriptor;
  readonly path: string;
  readonly query: string;
  readonly user: string | undefined;
}

export type Admission = Admitted | { readonly kind: 'refused'; readonly refusal: Refusal };

/**
 * Checks descriptor, credentials, method, rate and size in this order, so that unauthenticated clients learn nothing about the
 * last three. A password that needs a hash is checked only if the rate limit allows it; a wrong password does not consume it.
 */
export class ExitRequestGuard {
  readonly #attachment: ExitsAttachment;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #route: Route;
  readonly #users: Authenticator;
  readonly #bucket: TokenBucket;

  constructor(attachment: ExitsAttachment, clock: Pick<Clock, 'monotonic'>) {
    this.#attachment = attachment;
    this.#clock = clock;
    this.#route = createRoute(attachment.descriptors);
    this.#users = new Authenticator(attachment.users);
    this.#bucket = new TokenBucket(attachment.rateLimit);
  }

  async check(request: IncomingMessage, listener: string): Promise<Admission> {
    const { origins, maxHeaders } = this.#attachment;
    const target = readTarget(request.url ?? '');
    const descriptor = target && this.#route(listener, target.path);
    const early = foreign(request, origins) ?? (request.rawHeaders.length > 2 * maxHeaders ? tooManyHeaders : undefined);
    if (early !== undefined) return refused(early);
    if (target === undefined) return refused({ status: 400, reason: 'malformed', text: 'the path is malformed' });
    if (descriptor === undefined) return refused({ status: 404, reason: 'malformed', text: 'no descriptor has this path' });

    const user = descriptor.userAuth === 'none' ? undefined : await this.#authenticate(request);
    if (typeof user === 'object') return refused(user);
    const refusal = this.#checkMethodAndSize(request, descriptor);
    return refusal === undefined ? { kind: 'admitted', descriptor, ...target, user } : refused(refusal);
  }

  #checkMethodAndSize({ headers, method = '' }: IncomingMessage, descriptor: Descriptor): Refusal | undefined {
    const early = (isPush(descriptor) ? fromPusher(headers) : undefined) ?? wrongMethod(method, descriptor) ?? this.#throttle();
    if (early !== undefined) return early;
    this.#bucket.take(this.#clock.monotonic());
    return wrongBody(headers, this.#attachment.maxBodyBytes);
  }

  #throttle(): Refusal | undefined {
    const waitMs = this.#bucket.waitMs(this.#clock.monotonic());
    return waitMs === 0 ? undefined : rateLimited(waitMs);
  }

  /** The user, or the refusal of a request without valid credentials. */
  async #authenticate({ headers, socket }: IncomingMessage): Promise<string | Refusal> {
    const offered = readCredentials(headers.authorization);
    if (offered === undefined) return unauthorized;
    if (this.#users.recognises(offered)) return offered.user;
    const refusal = this.#throttle();
    if (refusal !== undefined) return refusal;
    const proof = await this.#users.prove(offered, { address: socket.remoteAddress ?? '', gone: () => socket.destroyed });
    switch (proof.kind) {
      case 'busy':
        return tooManyPasswords;
      case 'known':
        return proof.user;
      case 'unknown':
        return unauthorized;
      default:
        return proof satisfies never;
    }
  }
}

function refused(refusal: Refusal): Admission {
  return { kind: 'refused', refusal };
}

const tooManyHeaders: Refusal = { status: 431, reason: 'malformed', text: 'the request has too many headers' };

const tooManyPasswords: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  reason: 'overloaded',
  text: 'too many passwords are waiting to be checked',
};

/** Web pages of other sites could use their visitors' browsers, which identify such requests (Fetch §3.2, Fetch Metadata §2.2). */
function foreign({ headers }: IncomingMessage, origins: readonly string[]): Refusal | undefined {
  const { origin, 'sec-fetch-site': site } = headers;
  const isForeign = origin === undefined ? site === 'cross-site' || site === 'same-site' : !origins.includes(origin);
  return isForeign ? { status: 403, reason: 'forged', text: 'requests of web pages are accepted only from `origins`' } : undefined;
}

function isPush({ unit }: Descriptor): boolean {
  return unit.kind === 'builtin' && unit.name === 'PUSH';
}

const methodsOfModules = ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'] as const;

/** Modules interpret methods themselves; built-in exits and units accept fixed ones. */
function wrongMethod(method: string, { exit, unit }: Descriptor): Refusal | undefined {
  const builtin = unit.kind === 'builtin' && unit.name === 'STATUS' ? ['GET', 'HEAD'] : ['POST'];
  const allowed: readonly string[] = exit.kind === 'module' || unit.kind === 'module' ? methodsOfModules : builtin;
  if (allowed.includes(method)) return undefined;
  const list = allowed.join(', ');
  return { status: 405, headers: { allow: list }, reason: 'malformed', text: `accepted methods: ${list}` };
}

function wrongBody({ 'content-length': length, 'content-encoding': encoding }: IncomingHttpHeaders, maxBytes: number): Refusal | undefined {
  if (encoding !== undefined && encoding !== 'identity')
    return { status: 415, reason: 'malformed', text: 'the body must not be compressed' };
  return length !== undefined && Number(length) > maxBytes ? bodyTooLarge(maxBytes) : undefined;
}

/** Finds the descriptor for a path on a listener. */
type Route = (listener: string, path: string) => Descriptor | undefined;

/** The longest path wins; an exact path before a prefix of the same length. */
function createRoute(descriptors: readonly Descriptor[]): Route {
  const byLength = [...descriptors].sort((one, other) => weight(other.path) - weight(one.path));
  return (listener, path) =>
    byLength.find((descriptor) => (descriptor.listener ?? listener) === listener && matches(descriptor.path, path));
}

function matches(pattern: string, path: string): boolean {
  return isPrefix(pattern) ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function weight(pattern: string): number {
  return isPrefix(pattern) ? pattern.length - 1 : pattern.length + 0.5;
}

function isPrefix(pattern: string): boolean {
  return pattern.endsWith('/*');
}

/** The normalised path of a request's target (RFC 3986 §6.2.2) and its unchanged query. Undefined if it has no valid path. */
function readTarget(target: string): { readonly path: string; readonly query: string } | undefined {
  const mark = target.indexOf('?');
  const written = mark < 0 ? target : target.slice(0, mark);
  if (!written.startsWith('/') || /%(?![\da-f]{2})/i.test(written)) return undefined;
  const path = withoutDots(written.replaceAll(/%[\da-f]{2}/gi, normalisedEscape));
  return { path, query: mark < 0 ? '' : target.slice(mark + 1) };
}

/** Decodes the escape of an unreserved character; writes other escapes in upper case. */
function normalisedEscape(written: string): string {
  const character = String.fromCharCode(Number.parseInt(written.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : written.toUpperCase();
}

/** RFC 3986 §5.2.4. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}
