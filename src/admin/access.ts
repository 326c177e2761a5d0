/** Access to the admin listener, and to content through it. */
import { isIP } from 'node:net';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { ListenConfig } from '../config/service-config.ts';
import { bearerRequired, hasBearerToken } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';
import { refuse } from './refusals.ts';

export interface ApiAccess {
  /** Refuses requests that may not use the API at all. */
  readonly guard: onRequestAsyncHookHandler;
  /** Whether a request has the admin token. */
  hasToken(request: FastifyRequest): boolean;
  /** Whether a request may see content: bodies, packets, JIDs. */
  mayReadContent(request: FastifyRequest): boolean;
}

/** The API requires the token unless it listens on loopback; content requires it everywhere if one is configured. */
export function accessOf({ host, token }: Pick<ListenConfig, 'host' | 'token'>): ApiAccess {
  const hasToken = ({ headers }: FastifyRequest) => token !== undefined && hasBearerToken(headers.authorization, token);
  return {
    guard: requireToken(isLoopback(host) ? undefined : token),
    hasToken,
    mayReadContent: (request) => (token === undefined ? isLoopback(host) : hasToken(request)),
  };
}

/** Refuses requests without the token. Undefined: no token is required. */
export function requireToken(token: Secret | undefined): onRequestAsyncHookHandler {
  return async (request, reply) => {
    if (token === undefined || hasBearerToken(request.headers.authorization, token)) return undefined;
    const { status, headers, text } = bearerRequired;
    return refuse(reply.headers(headers), { status, code: 'UNAUTHORIZED', message: text });
  };
}

/**
 * A browser sends a request without a body to any origin and names the page in Origin (RFC 6454 §7). Allowed are pages of this
 * listener, and requests with the token, which a foreign page does not have.
 */
export function refuseForeignPages({ hasToken }: ApiAccess): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const { origin, host } = request.headers;
    if (origin === undefined || origin.replace(/^https?:\/\//, '') === host || hasToken(request)) return undefined;
    return refuse(reply, { status: 403, code: 'FOREIGN_PAGE', message: `a page of ${origin} may not change anything here` });
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
