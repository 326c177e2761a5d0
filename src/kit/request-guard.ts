/** Checks that every listener makes before it reads a request's body: credentials, and the size that the client declares. */
import type { IncomingHttpHeaders } from 'node:http';
import type { TextAnswer } from './http-message.ts';
import type { Secret } from './secret.ts';

/** Response to a request without the bearer token (RFC 6750 §3). */
export const bearerRequired = {
  status: 401,
  headers: { 'www-authenticate': 'Bearer' },
  text: 'this address requires the header "authorization: Bearer <token>"',
} as const satisfies TextAnswer;

/** Response to a request without valid Basic credentials (RFC 7617 §2). */
export const basicRequired = {
  status: 401,
  headers: { 'www-authenticate': 'Basic realm="xmpp-event-pusher", charset="UTF-8"' },
  text: 'this address requires a user name and a password',
} as const satisfies TextAnswer;

/** Whether an Authorization header contains `token` (RFC 6750 §2.1). The comparison takes constant time. */
export function hasBearerToken(header: string | undefined, token: Secret): boolean {
  const offered = bearerToken(header);
  return offered !== undefined && token.matches(offered);
}

/** The token that an Authorization header offers (RFC 6750 §2.1). */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

/** The `user:password` text of an Authorization header (RFC 7617 §2); undefined if the header offers no Basic credentials. */
export function readBasic(header: string | undefined): string | undefined {
  const offered = /^Basic +([\w+/=-]+) *$/i.exec(header ?? '')?.[1];
  return offered === undefined ? undefined : Buffer.from(offered, 'base64').toString();
}

/** Response to a request without `content-length` or with one above `maxBytes`; undefined if the declared length is acceptable. */
export function checkLength({ 'content-length': length }: IncomingHttpHeaders, maxBytes: number): TextAnswer | undefined {
  if (length === undefined) return { status: 411, text: 'the header content-length is required' };
  return Number(length) > maxBytes ? tooLarge(maxBytes) : undefined;
}

export function tooLarge(maxBytes: number): TextAnswer {
  return { status: 413, text: `the body exceeds ${maxBytes} bytes` };
}
