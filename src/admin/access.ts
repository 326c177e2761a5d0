/** Access to the admin listener, and to content through it. */
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { ListenConfig } from '../config/service-config.ts';
import type { Clock } from '../kit/clock.ts';
import { bearerRequired, bearerToken, hasBearerToken } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';
import type { Caller } from './api/route.ts';
import { type Principal, Principals } from './principals.ts';
import { refuse } from './refusals.ts';
import { Sessions } from './session.ts';

export interface ApiAccess {
  /** Undefined without a token: nothing to sign in with. */
  readonly sessions: Sessions | undefined;
  /** Refuses requests that may not use the API at all. */
  readonly guard: onRequestAsyncHookHandler;
  /** The holder of the token in the `authorization` header. */
  bearer(request: FastifyRequest): Principal | undefined;
  /** The principal whose browser has signed in. */
  session(request: FastifyRequest): Principal | undefined;
  callerOf(request: FastifyRequest): Caller;
}

/**
 * The API requires a token unless it listens on loopback; content requires it everywhere if one is configured. With named tokens, changes
 * require one on loopback, too: the holder of a read-only token could omit it there.
 */
export function accessOf(config: Pick<ListenConfig, 'host' | 'port' | 'token' | 'tokens'>, clock: Pick<Clock, 'now'>): ApiAccess {
  const { host, port, tokens = [] } = config;
  const principals = new Principals(config);
  const sessions = principals.exist ? new Sessions({ principals, clock, port }) : undefined;
  const bearer = ({ headers }: FastifyRequest) => {
    const offered = bearerToken(headers.authorization);
    return offered === undefined ? undefined : principals.ofToken(offered);
  };
  const session = ({ headers }: FastifyRequest) => sessions?.find(headers.cookie);
  const anyone = {
    name: '',
    mayOperate: isLoopback(host) && tokens.length === 0,
    mayReadContent: isLoopback(host) && !principals.exist,
  };
  return {
    ...{ sessions, bearer, session },
    guard: async (request, reply) => {
      if (!principals.exist || isLoopback(host) || bearer(request) !== undefined || session(request) !== undefined) return undefined;
      return refuseUnauthorized(reply);
    },
    callerOf: (request) => {
      const signedIn = session(request);
      return { ...(bearer(request) ?? signedIn ?? anyone), signedIn: signedIn !== undefined, address: request.ip };
    },
  };
}

/** Refuses requests without the token. Undefined: no token is required. */
export function requireToken(token: Secret | undefined): onRequestAsyncHookHandler {
  return async (request, reply) => {
    if (token === undefined || hasBearerToken(request.headers.authorization, token)) return undefined;
    return refuseUnauthorized(reply);
  };
}

export function refuseUnauthorized(reply: FastifyReply): FastifyReply {
  const { status, headers, text } = bearerRequired;
  return refuse(reply.headers(headers), { status, code: 'UNAUTHORIZED', message: text });
}

/**
 * A browser sends a request without a body to any origin, with the cookies of that origin. It names the page in Origin (RFC 6454 §7); for a
 * GET whose response the page cannot read, it sends only Sec-Fetch-Site (W3C Fetch Metadata §2.3), and even such a request begins a view or
 * a search. Allowed are pages of this listener, requests with the token, which a foreign page does not have, and changes without Origin
 * that have no session: they do not come from a browser.
 */
export function refuseForeignPages({ bearer, session }: ApiAccess): onRequestAsyncHookHandler {
  const isOwn = (request: FastifyRequest): boolean => {
    const { origin, host, 'sec-fetch-site': site = 'none' } = request.headers;
    if (origin !== undefined) return origin.replace(/^https?:\/\//, '') === host;
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    return isReading ? site === 'none' || site === 'same-origin' : session(request) === undefined;
  };
  return async (request, reply) => {
    if (isOwn(request) || bearer(request) !== undefined) return undefined;
    const message = `a page of ${request.headers.origin ?? 'an unknown origin'} may not use this listener`;
    return refuse(reply, { status: 403, code: 'FOREIGN_PAGE', message });
  };
}

/**
 * Whether the Host header (RFC 9110 §7.2) names this listener: loopback names, IP addresses, and the name that it listens on.
 * Another name may be a domain that resolves to this machine, so that a page in a local browser can read what is reserved for this
 * machine (DNS rebinding).
 */
export function isKnownHost(header: string | undefined, listenHost: string): boolean {
  const host = hostName(header ?? '');
  return (
    host !== undefined && (host === 'localhost' || host.endsWith('.localhost') || isIP(host) !== 0 || host === listenHost.toLowerCase())
  );
}

/** The name or address without port and brackets, in lower case; undefined if the header is not a host. */
function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\]]+?)\.?)(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
