/** What a start of the service needs of this machine, apart from the configuration and its modules. */
import { createServer } from 'node:net';
import Database from 'better-sqlite3';
import type { Config } from '../config/service-config.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { listenProblem } from '../kit/http-listener.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { readInfo, type SpoolInfo } from '../spool/inspect.ts';
import { damageText, isDamage } from '../spool/sqlite/errors.ts';
import { refuseUnusable } from '../spool/usable.ts';

/**
 * Contents of the spool's file, if there is one that no service is writing just now. Throws SPOOL_OPEN_FAILED, SPOOL_TOO_NEW or
 * SPOOL_NETWORK_FILE_SYSTEM or SPOOL_DAMAGED if a service of the same user could not start with the spool.
 */
export function requireSpool({ spool, history }: Config): SpoolInfo | 'busy' | undefined {
  refuseUnusable(spool, { hasHistory: history.enabled });
  try {
    return spool.engine === 'sqlite' ? readInfo(spool.path) : undefined;
  } catch (thrown) {
    const { cause } = toError(thrown);
    if (isBusy(cause)) return 'busy';
    if (isDamage(cause))
      throw new ServiceError('SPOOL_DAMAGED', `cannot use the spool at ${spool.path}: ${damageText(toError(cause).message)}`);
    throw thrown;
  }
}

function isBusy(cause: unknown): boolean {
  return cause instanceof Database.SqliteError && cause.code.startsWith('SQLITE_BUSY');
}

interface Address {
  readonly listen: { readonly host: string; readonly port: number };
  /** The setting that holds it. */
  readonly setting: string;
}

/**
 * Throws if this machine does not have the address of a listener, or the user may not open its port. A port in use is left to the start:
 * the service may be running.
 */
export async function requireAddresses(config: Config): Promise<void> {
  const problems = await Promise.all(addressesOf(config).map(problemOf));
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) throw new ServiceError('ADMIN_LISTEN_FAILED', found.join('\n'));
}

function addressesOf({ admin, gate, attachments }: Config): readonly Address[] {
  const sources = attachments.flatMap((attachment): readonly Address[] => {
    const setting = `[attach.${attachment.name}] listen`;
    if (attachment.type === 'http') return [{ listen: attachment.listen, setting }];
    return attachment.type === 'exits' ? attachment.listeners.map((listen) => ({ listen, setting })) : [];
  });
  return [{ listen: admin, setting: '[admin] listen' }, ...(gate ? [{ listen: gate.listen, setting: '[gate] listen' }] : []), ...sources];
}

async function problemOf({ listen: { host, port }, setting }: Address): Promise<string | undefined> {
  const tried = createDeferred<string | undefined>();
  const server = createServer()
    .once('error', ({ message }) => {
      const isInUse = message.includes('EADDRINUSE');
      tried.resolve(isInUse ? undefined : `cannot listen on ${host}:${port}: ${listenProblem(message, setting)}`);
    })
    .listen({ host, port }, () => server.close(() => tried.resolve(undefined)));
  return tried.promise;
}
