import type { Secret } from './secret.ts';

/** Whether an Authorization header bears `token` (RFC 6750 §2.1). How long it takes tells nothing of the token. */
export function bears(header: string | undefined, token: Secret): boolean {
  const offered = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
  return offered !== undefined && token.matches(offered);
}
