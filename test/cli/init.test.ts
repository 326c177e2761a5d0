import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { runCli } from '../support/run-cli.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'init-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const init = (...args: readonly string[]) => runCli(['init', '--config', join(folder, 'event-pusher.toml'), ...args]);

test.each(['prosody', 'ejabberd', 'mongooseim'])(
  'the configuration for %s loads without notices, with the given backend',
  async (server) => {
    const { code, stderr } = await init('--server', server, '--host', 'example.org', '--backend', 'https://hooks.example.org:8443/a%20b/c');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const config = await loadConfig(join(folder, 'event-pusher.toml'), {});
    expect(config.notices).toEqual([]);
    expect(config.history.enabled).toBe(true);
    expect(config.hosts).toEqual(['example.org']);
    expect(config.pools.map(({ origin }) => origin)).toEqual(['https://hooks.example.org:8443']);
    expect(config.handlers.map(({ name, requestPath }) => [name, requestPath])).toEqual([['push', '/a%20b/c']]);
    expect(config.attachments.map(({ type }) => type)).toEqual([server === 'mongooseim' ? 'http' : 'component']);
  },
);

test.each([
  ['prosody', 'event-pusher.prosody.cfg.lua'],
  ['ejabberd', 'event-pusher.ejabberd.yml'],
])('%s gets the same random secret, which only the owner can read', async (server, snippet) => {
  await init('--server', server, '--host', 'example.org');
  const secret = (await readFile(join(folder, 'event-pusher.secret'), 'utf8')).trim();
  expect(secret).toMatch(/^[0-9a-f]{48}$/);
  expect(await readFile(join(folder, snippet), 'utf8')).toContain(`"${secret}"`);
  expect(await readFile(join(folder, 'event-pusher.toml'), 'utf8')).not.toContain(secret);
  for (const name of ['event-pusher.secret', snippet]) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
});

test('the output names the files and the commands of the next steps', async () => {
  const { stdout } = await init('--server', 'prosody', '--host', 'example.org');
  expect(stdout).toContain(join(folder, 'event-pusher.prosody.cfg.lua'));
  expect(stdout).toContain(`event-pusher check --online --config ${join(folder, 'event-pusher.toml')}`);
});

test.each(['event-pusher.toml', 'event-pusher.secret', 'event-pusher.prosody.cfg.lua'])(
  'an existing %s is kept, and nothing is written',
  async (name) => {
    await writeFile(join(folder, name), 'mine');
    const { code, stderr } = await init('--server', 'prosody', '--host', 'example.org');
    expect(code).toBe(1);
    expect(stderr).toContain(`${join(folder, name)}: init never overwrites a file`);
    expect(await readdir(folder)).toEqual([name]);
    expect(await readFile(join(folder, name), 'utf8')).toBe('mine');
  },
);

test('a folder that does not exist is named', async () => {
  const { code, stderr } = await runCli([
    'init',
    '--server',
    'prosody',
    '--host',
    'example.org',
    '--config',
    join(folder, 'missing/event-pusher.toml'),
  ]);
  expect(code).toBe(1);
  expect(stderr).toContain(`cannot write to ${join(folder, 'missing')}`);
});

test('a file that cannot be written leaves none of the others', async () => {
  await mkdir(join(folder, 'x'.repeat(250)));
  const config = join(folder, `${'x'.repeat(240)}.toml`); // the name of the snippet is longer than a file name may be
  const { code } = await runCli(['init', '--server', 'prosody', '--host', 'example.org', '--config', config]);
  expect(code).toBe(1);
  expect(await readdir(folder)).toEqual(['x'.repeat(250)]);
});

test('without a terminal all missing answers are named with their options', async () => {
  expect((await init()).stderr).toContain('missing --server: prosody, ejabberd, mongooseim; --host: a domain such as example.org\n');
  const { code, stderr } = await init('--server', 'prosody');
  expect(code).toBe(2);
  expect(stderr).toContain('missing --host: a domain such as example.org');
});

test.each([
  ['--server', 'openfire', 'prosody, ejabberd, mongooseim'],
  ['--host', 'exam"ple', 'a domain such as example.org'],
  ['--host', 'a b', 'a domain'],
  ['--domain', 'x\ny', 'a domain such as pusher.example.org'],
  ['--backend', 'ftp://example.org/', 'a URL such as'],
  ['--backend', 'http://user:pw@example.org/', 'a URL such as http://127.0.0.1:8000/notifications, without user'],
  ['--backend', 'http://example.org/?a=b', 'a URL such as http://127.0.0.1:8000/notifications, without user, query'],
  ['--service', 'xmpp://127.0.0.1', 'an address such as'],
])('%s %j is refused', async (option, value, expected) => {
  const given = new Map([
    ['--server', 'prosody'],
    ['--host', 'example.org'],
    [option, value],
  ]);
  const { code, stderr } = await init(...[...given].flat());
  expect(code).toBe(2);
  expect(stderr).toContain(`${option}: received ${JSON.stringify(value)}, expected ${expected}`);
  expect(await readdir(folder)).toEqual([]);
});

test.each(['a"b.toml', 'a\\b.toml', 'a}b.toml', `\${HOME}.toml`])(
  'the name %j, which the configuration cannot refer to, is refused',
  async (name) => {
    const { code, stderr } = await runCli(['init', '--server', 'prosody', '--host', 'example.org', '--config', join(folder, name)]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('expected a name without')]);
    expect(await readdir(folder)).toEqual([]);
  },
);
