/** The built command line, which erases a user over the API of a listener, or from the files of a stopped service. */
import { watch } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeConfig } from '../config/write-config.ts';
import { makeDelivery, makeEntry } from '../spool/build.ts';
import { createPostgresRig } from '../spool/postgres-rig.ts';
import { createSqliteRig } from '../spool/sqlite-rig.ts';
import { eventually } from '../support/eventually.ts';
import { hasPostgres } from '../support/postgres.ts';
import { runCli } from '../support/run-cli.ts';
import { appendTo } from '../support/spool-promises.ts';
import { startOperated } from './operate.ts';

const mine = makeDelivery({ id: 'mine', sender: 'bob@localhost', receiver: 'carol@localhost' });
const others = makeDelivery({ id: 'others', receiver: 'carol@localhost' });

test('erase counts, needs --yes without a terminal, and erases', async () => {
  const { operate, spool, die, notices } = await startOperated({ token: 'secret' });
  await appendTo(spool, makeEntry([mine, others]));
  await die({ id: 'dead' });
  const erase = (...args: readonly string[]) => operate('erase', '--jid', 'Bob@localhost', ...args);
  expect((await erase('--dry-run')).stdout).toBe(
    '1 waiting event, 1 dead letter, 0 records of the history of bob@localhost would be erased.\n',
  );
  expect(await erase()).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
  const done = await erase('--yes');
  expect(done).toMatchObject({ code: 0, stderr: '' });
  expect(done.stdout).toMatch(/^1 waiting event, 1 dead letter, 0 records of the history of bob@localhost erased.\nNot erased: backups, /);
  expect(notices).toHaveLength(1);
  expect(notices[0]).toMatch(/: erased 1 waiting events, 1 dead letters, 0 records of the history and 0 withheld pushes of a user$/);
  const nothing = { waiting: 0, deadLetters: 0, records: 0, withheld: 0, held: 0, file: 'rewritten' };
  expect(JSON.parse((await erase('--yes', '--json')).stdout)).toEqual(nothing);
  expect(spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 1, dead: 0 }]);
});

test('erase asks for a bare JID, and for a token that may see content', async () => {
  const { operate, url } = await startOperated({ token: 'secret' });
  expect(await operate('erase', '--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('missing --jid') });
  const withResource = await operate('erase', '--jid', 'bob@localhost/phone', '--yes');
  expect(withResource).toMatchObject({ code: 2, stderr: expect.stringContaining('expected a bare JID such as "bob@example.org"') });
  const withoutToken = await runCli(['erase', '--jid', 'bob@localhost', '--yes', '--url', url]);
  expect(withoutToken).toMatchObject({ code: 1, stderr: expect.stringContaining('token') });
});

test('erase changes the files of a stopped service, and never those that a process uses', async () => {
  await using rig = await createSqliteRig();
  const config = await writeConfig(`[admin]\nlisten = "127.0.0.1:1"\n[spool]\npath = "${rig.path}"`);
  const { env, created } = await watchTemporaryFiles();
  const erase = (...args: readonly string[]) => runCli(['erase', '--jid', 'bob@localhost', '--config', config, ...args], env);
  expect(await erase('--yes')).toMatchObject({ code: 1, stderr: expect.stringContaining('no service answers') });

  const spool = await rig.started();
  const large = Array.from({ length: 20 }, (_, index) =>
    makeDelivery({ id: `large${index}`, receiver: 'carol@localhost', body: 'x'.repeat(1024 ** 2) }),
  );
  await appendTo(spool, makeEntry([mine, others, ...large]));
  expect(await erase('--yes')).toMatchObject({ code: 1, stderr: expect.stringContaining('is used by process') });
  await spool.stop();
  const done = await erase('--yes');
  expect(done).toMatchObject({ code: 0, stderr: `No service answers: the spool at ${rig.path} is changed directly.\n` });
  expect(done.stdout).toContain('1 waiting event, 0 dead letters, 0 records of the history of bob@localhost erased.');
  expect((await readFile(join(rig.path))).includes('bob@localhost')).toBe(false);
  await eventually(() => created.some((name) => name.startsWith('etilqs_'))); // a large copy is made on the disk, not in memory
  expect((await rig.started()).stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 21, dead: 0 }]);
});

test.skipIf(!(await hasPostgres()))(
  'erase changes the tables of a stopped service in PostgreSQL, and the spool commands read them',
  async () => {
    await using rig = await createPostgresRig();
    const settings = `engine = "postgres"\nurl = "${rig.server.url()}"\nschema = "stopped"`;
    const config = await writeConfig(`[admin]\nlisten = "127.0.0.1:1"\n[spool]\n${settings}`);
    const erase = () => runCli(['erase', '--jid', 'bob@localhost', '--yes', '--config', config]);
    expect(await erase(), 'no spool, as after a typing error in its URL').toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no service answers'),
    });
    expect(await rig.server.query("SELECT FROM pg_namespace WHERE nspname = 'stopped'")).toEqual([]);
    const spool = await rig.started({}, { schema: 'stopped' });
    await appendTo(spool, makeEntry([mine, others]));
    expect(await erase()).toMatchObject({ code: 1, stderr: expect.stringContaining('is used by process') });
    await spool.stop();
    const done = await erase();
    expect(done).toMatchObject({ code: 0, stderr: 'No service answers: the spool in schema stopped of PostgreSQL is changed directly.\n' });
    expect(done.stdout).toContain('1 waiting event, 0 dead letters, 0 records of the history of bob@localhost erased.');
    expect(await rig.server.query('SELECT id FROM stopped.deliveries')).toEqual([{ id: 'others' }]);

    const command = (...args: readonly string[]) => runCli(['spool', ...args, '--config', config]);
    const info = await command('info');
    expect(info.stdout).toMatch(/tables +schema stopped of 127\.0\.0\.1:\d+\/postgres\n.*size .*schema +\d+\n.*used by +no process\n/s);
    expect(info.stdout).toMatch(/pool +push +1 +0\n/);
    await rig.started({}, { schema: 'stopped' });
    const used = JSON.parse((await command('info', '--json')).stdout);
    expect(used).toMatchObject({ exists: true, holder: expect.stringMatching(/^process \d+ on /), queues: [{ waiting: 1 }] });
    expect(await command('check')).toMatchObject({ code: 0, stdout: 'schema stopped: no faults.\n' });
    await rig.server.query(
      `INSERT INTO stopped.attempts VALUES (77, 1, 1, 1, '{}'); INSERT INTO stopped.dead_counts VALUES ('pool', 'x', 3)`,
    );
    expect(await command('check')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/1 queues .*1 attempt records belong to no delivery/s),
    });
    expect(await command('backup', join(rig.server.url(), 'x'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('pg_dump --schema=stopped'),
    });
  },
);

/** A folder for the temporary files of SQLite, and the names of those that were created in it. */
async function watchTemporaryFiles() {
  const folder = await mkdtemp(join(tmpdir(), 'sqlite-'));
  const created: string[] = [];
  const watcher = watch(folder, (_, name) => void created.push(name ?? ''));
  onTestFinished(async () => {
    watcher.close();
    await rm(folder, { recursive: true });
  });
  return { env: { SQLITE_TMPDIR: folder }, created };
}
