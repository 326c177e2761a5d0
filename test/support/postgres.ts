import { execFile } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { eventually } from './eventually.ts';
import { requirePackage } from './packages.ts';
import { createServerProcess } from './server-process.ts';
import { freePort } from './target.ts';

/** A PostgreSQL server of its own on a free port of 127.0.0.1, with its data in a fresh temporary directory. */
export interface Postgres extends AsyncDisposable {
  readonly port: number;
  url(database?: string): string;
  /** Runs one statement as the superuser, on a connection of its own. */
  query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  start(): Promise<void>;
  /** Ends all sessions and stops (SIGINT, a fast shutdown). */
  stop(): Promise<void>;
  /** Sends SIGKILL: the server recovers at its next start. */
  kill(): Promise<void>;
}

const binaries = '/usr/lib/postgresql/15/bin';

/** Whether {@link startPostgres} can start a server. */
export function hasPostgres(): Promise<boolean> {
  return requirePackage('postgresql-15', join(binaries, 'postgres'), 'postgresql');
}

/**
 * As root, which PostgreSQL refuses to run as, the server runs as the user of Debian's package. With `primary`, it is a standby that begins with a
 * copy of it.
 */
export async function startPostgres(settings: readonly string[] = [], primary?: Postgres): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), 'postgres-'));
  const [data, port] = [join(folder, 'data'), await freePort()];
  const user = process.getuid?.() === 0 ? await userIds('postgres') : undefined;
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const asUser = user === undefined ? [] : ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'];
  const args = (program: string, ...rest: string[]) => [...asUser, '--pdeathsig', 'KILL', join(binaries, program), '-D', data, ...rest];

  const prepare =
    primary === undefined
      ? args('initdb', '--no-sync', '--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C')
      : args('pg_basebackup', '--no-sync', '--write-recovery-conf', '--checkpoint=fast', `--dbname=${primary.url()}`);
  await promisify(execFile)('setpriv', prepare);
  const options = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', 'shared_buffers=16MB', ...settings];
  const url = (database = 'postgres') => `postgres://postgres@127.0.0.1:${port}/${database}`;
  const server = createServerProcess({
    ...{ command: 'setpriv', args: args('postgres', ...options.flatMap((option) => ['-c', option])), ports: [port], stopSignal: 'SIGINT' },
    answers: () => eventually(() => query('SELECT 1')),
  });

  async function query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new Client({ connectionString: url() });
    client.on('error', () => undefined); // the query fails with it
    try {
      await client.connect();
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  await server.start();
  return {
    ...{ port, url, query, start: server.start, stop: server.stop, kill: server.kill },
    [Symbol.asyncDispose]: async () => {
      await server.kill();
      await rm(folder, { recursive: true });
    },
  };
}

async function userIds(name: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const { stdout } = await promisify(execFile)('getent', ['passwd', name]);
  const [, , uid, gid] = stdout.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}
