/** `check` fails where `run` refuses to start, and only there. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { toError } from '../../src/kit/errors.ts';
import { migrate, migrations } from '../../src/spool/sqlite/schema.ts';
import { writeConfig } from '../config/write-config.ts';
import { importBuilt } from '../support/built.ts';
import { runCli } from '../support/run-cli.ts';

interface Settings {
  /** Without `[spool]`. */
  readonly more?: string;
  readonly spool?: string;
  readonly admin?: string;
  readonly attached?: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Receives the folder of the configuration. */
  readonly prepare?: (folder: string) => unknown;
}

const handler = (callbackModule: string) => `[modules.mod_event_pusher.backend.http]\ncallback_module = "${callbackModule}"`;
const token = `token = "\${file:token}"\n`;
const backend = '[outgoing_pools.http.http_pool.connection]\nhost = "https://127.0.0.1:1"\n';
/** An address for documentation (RFC 5737), which no machine has. */
const foreign = '192.0.2.1:9000';

function writeSettings({ more = '', spool = 'path = "spool.sqlite"', admin = '', attached = '127.0.0.1:0', files = {} }: Settings) {
  const listen = admin === '' ? 'listen = "127.0.0.1:0"' : `listen = "${admin}"\n${token}`;
  const general = '[general]\nloglevel = "none"\n';
  const attachment = `[attach.mim]\ntype = "http"\nlisten = "${attached}"\nhosts = ["mim.example"]\nusername = "mim"\npassword = "p"\n`;
  return writeConfig(`${general}${attachment}${backend}${more}\n[spool]\n${spool}\n[admin]\n${listen}\n`, {
    token: 'a token of the test, long',
    ...files,
  });
}

/** What `run` starts in its thread, without the process, which costs far more. Returns `starts`, or why not. */
async function startOnce(file: string): Promise<string> {
  const { createService } = await importBuilt<typeof import('../../src/service.ts')>('src/service.js');
  const { loadConfig: loadBuilt } = await importBuilt<typeof import('../../src/config/load.ts')>('src/config/load.js');
  try {
    const service = createService(await loadBuilt(file, {}), { onFailed: () => undefined });
    await service.start().finally(() => service.stop());
    return 'starts';
  } catch (thrown) {
    return toError(thrown).message;
  }
}

/** Returns `passes`, or the code of the error and its message. */
async function checkOnce(file: string): Promise<string> {
  const { loadChecked } = await importBuilt<typeof import('../../src/cli/check.ts')>('src/cli/check.js');
  return loadChecked(file).then(
    () => 'passes',
    (thrown: Error & { readonly code: string }) => `${thrown.code}: ${thrown.message}`,
  );
}

const database = (change: (db: Database.Database) => void) => (folder: string) => {
  const db = new Database(join(folder, 'spool.sqlite'));
  change(db);
  db.close();
};

test.each<[string, Settings, RegExp]>([
  ['a spool that is a directory', { prepare: (folder) => mkdir(join(folder, 'spool.sqlite')) }, /is a directory: give the path of a file/],
  [
    'a spool that is a text',
    { files: { 'spool.sqlite': 'a text, '.repeat(100) } },
    /not a database.*start with a backup or without a file/,
  ],
  ['a database of another program', { prepare: database((db) => db.exec('CREATE TABLE t (x)')) }, /another program.*another path/],
  [
    'a spool of a later version',
    {
      prepare: database((db) => {
        migrate(db);
        db.pragma(`user_version = ${migrations.length + 1}`);
      }),
    },
    /run the version that wrote it/,
  ],
  [
    'a folder below a file',
    { spool: 'path = "file/var/spool.sqlite"', files: { file: '' } },
    /file is not a directory.*another \[spool\] path/,
  ],
  ['a folder that cannot be created', { spool: 'path = "/proc/var/spool.sqlite"' }, /cannot create the spool's folder \/proc\/var/],
  ['a broken link', { prepare: (folder) => symlink('/nowhere/at/all', join(folder, 'spool.sqlite')) }, /symbolic link.*remove it/],
  [
    'a lock that is a directory',
    { prepare: (folder) => mkdir(join(folder, 'spool.sqlite.lock')) },
    /spool\.sqlite\.lock is not a regular file/,
  ],
  [
    'a history that is a file',
    { more: '[history]\nenabled = true', files: { 'spool.sqlite-history': '' } },
    /spool\.sqlite-history.*\[history\] enabled = false/,
  ],
  ['a module without callbacks', { more: handler('own'), files: { 'own.mjs': 'export const none = 1;' } }, /none of the callbacks/],
  ['a secret that is a directory', { more: `[gate]\nlisten = "127.0.0.1:0"\ntoken = "\${file:.}"` }, /a readable file.*EISDIR/],
  [
    'an authority that is no certificate',
    { more: '[outgoing_pools.http.http_pool.connection.tls]\ncacertfile = "ca.pem"', files: { 'ca.pem': 'a text' } },
    /certificates in PEM/,
  ],
  ['an admin address of another machine', { admin: foreign }, /^ADMIN_LISTEN_FAILED.*does not have that address; change \[admin\] listen/],
  ['an attachment with an address of another machine', { attached: foreign }, /^ATTACH_LISTEN_FAILED.*change \[attach\.mim\] listen/],
  [
    'a gate with a name that does not exist',
    { more: `[gate]\nlisten = "gate.invalid:9000"\n${token}` },
    /^GATE_LISTEN_FAILED.*ENOTFOUND.*\[gate\] listen/,
  ],
])('%s is refused by both', async (_, { prepare, ...settings }, advice) => {
  const file = await writeSettings(settings);
  await prepare?.(dirname(file));
  const [checked, started] = [await checkOnce(file), await startOnce(file)];
  expect([checked.replaceAll(/\s+/g, ' '), started]).toEqual([expect.stringMatching(advice), expect.not.stringMatching(/^starts$/)]);
});

test('folders that are missing, and a link to a file, are accepted by both', async () => {
  const spool = 'path = "var/lib/spool.sqlite"';
  const missing = await writeSettings({
    ...{ more: `[history]\nenabled = true\n${handler('own')}`, spool },
    files: { 'own.mjs': 'export const prepareBody = () => "x";' },
  });
  const linked = await writeSettings({ files: { 'elsewhere.sqlite': '' } });
  await symlink(join(dirname(linked), 'elsewhere.sqlite'), join(dirname(linked), 'spool.sqlite'));
  for (const file of [missing, linked]) {
    expect(await checkOnce(file)).toBe('passes');
    expect(existsSync(join(dirname(file), 'var'))).toBe(false);
    expect(await startOnce(file)).toBe('starts');
  }
});

test('the commands exit with 1 and the reason', async () => {
  const directory = await writeSettings({});
  await mkdir(join(dirname(directory), 'spool.sqlite'));
  const ending = await writeSettings({ more: handler('own'), files: { 'own.mjs': 'process.exit(0)' } });
  const refused = { code: 1, stdout: '' };
  const [checked, ran, ended, ranInto] = await Promise.all(
    [directory, ending].flatMap((file) => [runCli(['check', '--config', file]), runCli(['run', '--config', file])]),
  );
  expect([checked, ran]).toEqual(Array(2).fill({ ...refused, stderr: expect.stringContaining('is a directory: give the path of a file') }));
  expect(ended).toEqual({ ...refused, stderr: expect.stringContaining('remove its call of process.exit') });
  expect(ranInto).toMatchObject({ code: 1 });
});

test('check accepts a port and a spool in use, since the service may be running', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const file = await writeSettings({ attached: `127.0.0.1:${port}` });
  const lock = new Database(join(dirname(file), 'spool.sqlite.lock'));
  onTestFinished(() => void lock.close());
  lock.pragma('journal_mode = MEMORY');
  lock.exec('BEGIN EXCLUSIVE');
  expect(await runCli(['check', '--config', file])).toMatchObject({ code: 0, stderr: '' });
});
