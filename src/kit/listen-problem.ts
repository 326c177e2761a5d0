import { toError } from './errors.ts';

/** Why a listener could not be opened, and what to do about it. `key` names the setting that holds its address. */
export function listenProblem(cause: unknown, key: string): string {
  const { message } = toError(cause);
  if (message.includes('EADDRINUSE')) return `another program listens there; stop it, or change ${key}`;
  if (message.includes('EACCES')) return `this user may not; take a port above 1023 in ${key}`;
  if (message.includes('EADDRNOTAVAIL')) return `this machine does not have that address; change ${key}`;
  return `${message}; check ${key}`;
}
