/**
 * The Debian package: built from this checkout with Node.js 24 from npm, then checked by lintian, installed, run, upgraded, removed and purged
 * in a fresh Debian 12. It downloads a Debian, compiles SQLite and takes minutes, so it runs only on request:
 * `DEBIAN_PACKAGE=1 npx vitest run test/deploy/debian.test.ts`, as root and after `npm run build`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chown, copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { plainConfig } from '../support/pusher.ts';
import { type ScriptedChat, startScriptedChat } from '../support/scripted-chat.ts';
import { type Child, startChild } from '../support/start-child.ts';
import { startTarget, type Target } from '../support/target.ts';

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../../', import.meta.url));
const canMakeRoot = process.getuid?.() === 0 && (await requirePackage('mmdebstrap')) && (await requirePackage('lintian'));

describe.skipIf(!canMakeRoot)('the package, in a fresh Debian', () => {
  let folder = '';
  let root = '';
  let packages: readonly string[] = [];
  let chat: ScriptedChat;
  let backend: Target;
  let status = 200;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'debian-'));
    root = join(folder, 'root');
    chat = await startScriptedChat();
    backend = await startTarget({ script: () => ({ kind: 'answer', status }) });
    packages = await buildTwoVersions(folder);
    const include = '--include=adduser,init-system-helpers,libstdc++6';
    await run('mmdebstrap', ['--quiet', '--variant=minbase', include, 'bookworm', root, 'http://deb.debian.org/debian']);
    for (const file of packages) await copyFile(join(folder, file), join(root, 'tmp', file));
  }, 1_200_000);

  afterAll(async () => {
    await backend?.stop();
    await chat?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('lintian reports no error and no warning', async () => {
    const { stdout } = await run('lintian', ['--fail-on', 'none', '--allow-root', join(folder, packages[0] ?? '')]);
    expect(stdout.split('\n').filter((line) => /^[EW]:/.test(line))).toEqual([]);
  }, 900_000);

  test('contains the licences of all parts, and a manual page with every command', async () => {
    const unpacked = join(folder, 'read');
    await run('dpkg-deb', ['--extract', join(folder, packages[0] ?? ''), unpacked]);
    const copyright = await readFile(join(unpacked, 'usr/share/doc/event-pusher/copyright'), 'utf8');
    const modules = await readdir(join(unpacked, 'usr/lib/event-pusher/node_modules'));
    for (const name of modules) expect(copyright).toContain(`Files: usr/lib/event-pusher/node_modules/${name}/`);
    const texts = [...copyright.matchAll(/The text is in \/(\S+)\./g)].map(([, path = '']) => path);
    expect(texts.length).toBeGreaterThan(100);
    for (const path of texts) expect((await stat(join(unpacked, path))).size).toBeGreaterThan(200);

    const manual = await run('man', ['--local-file', join(unpacked, 'usr/share/man/man1/event-pusher.1.gz')], {
      env: { ...process.env, MANWIDTH: '200' },
    });
    for (const { name } of await allCommands()) expect(manual.stdout).toMatch(new RegExp(`^ +${name}\\b`, 'm'));
    await rm(unpacked, { recursive: true });
  });

  test('installs: a user without rights, folders that others cannot read, and the next step', async () => {
    expect(await dpkg('--install', `/tmp/${packages[0]}`)).toContain('event-pusher init');
    expect(await readFile(join(root, 'etc/passwd'), 'utf8')).toMatch(
      /^event-pusher:x:\d+:\d+:.*:\/var\/lib\/event-pusher:\/usr\/sbin\/nologin$/m,
    );
    expect((await stat(join(root, 'var/lib/event-pusher'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(root, 'etc/event-pusher'))).mode & 0o777).toBe(0o750);
    expect((await inRoot('event-pusher', '--version')).trim()).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await inRoot('/usr/lib/event-pusher/node/bin/node', '--version')).toMatch(/^v24\./);
  });

  test('runs as its user, and delivers', async () => {
    const config = plainConfig({ componentPort: chat.server.port, backend: backend.origin });
    const text = `[general]\nhosts = ["localhost"]\n[admin]\nlisten = "127.0.0.1:0"\n[spool]\npath = "/var/lib/event-pusher/spool.sqlite"\n${config}`;
    await writeFile(join(root, 'etc/event-pusher/event-pusher.toml'), text);
    await using service = await startService();
    chat.say('before the upgrade');
    await backend.received(1);
    await service.stop();
    expect((await stat(join(root, 'var/lib/event-pusher/spool.sqlite'))).mode & 0o077).toBe(0);
  });

  test('an upgrade keeps the spool with what waits in it', async () => {
    status = 503;
    const before = await startService();
    chat.say('while the backend is down');
    await backend.received(2);
    await before.stop();

    await dpkg('--install', `/tmp/${packages[1]}`);
    status = 200;
    const requests = backend.requests.length;
    await using after = await startService();
    await eventually(() => expect(backend.requests.length).toBeGreaterThan(requests));
    expect(String(backend.requests.at(-1)?.body)).toContain('while+the+backend+is+down');
    await after.stop();
  });

  test('a removal keeps configuration and spool, and a purge says what it deletes', async () => {
    await dpkg('--remove', 'event-pusher');
    await expect(stat(join(root, 'usr/bin/event-pusher'))).rejects.toThrow('ENOENT');
    expect(await readdir(join(root, 'var/lib/event-pusher'))).toContain('spool.sqlite');
    expect(await readdir(join(root, 'etc/event-pusher'))).toEqual(['event-pusher.toml']);

    const said = await dpkg('--purge', 'event-pusher');
    expect(said).toContain('Removing /etc/event-pusher with 1 files');
    expect(said).toMatch(/Removing \/var\/lib\/event-pusher with \d+ files; undelivered events and dead letters/);
    for (const gone of ['var/lib/event-pusher', 'etc/event-pusher', 'usr/lib/event-pusher'])
      await expect(stat(join(root, gone))).rejects.toThrow('ENOENT');
    expect(await readFile(join(root, 'etc/passwd'), 'utf8')).not.toContain('event-pusher');
  });

  async function inRoot(...command: readonly string[]): Promise<string> {
    const { stdout, stderr } = await run('chroot', [root, ...command], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' },
    });
    return stdout + stderr;
  }

  function dpkg(...args: readonly string[]): Promise<string> {
    return inRoot('dpkg', ...args);
  }

  /** The service as the unit starts it; resolves when it is ready. */
  async function startService() {
    const child: Child = startChild('chroot', ['--userspec=event-pusher:event-pusher', root, '/usr/bin/event-pusher', 'run'], {
      PATH: process.env['PATH'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        said += text;
      });
    }
    const exited = once(child, 'exit');
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(said);
      return said.includes('"event":"ready"');
    });
    const stop = async () => {
      child.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
    };
    return { stop, [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
  }
});

/** The package of this checkout, and the same with a higher version; their names. */
async function buildTwoVersions(folder: string): Promise<readonly string[]> {
  await run(join(checkout, 'deploy/debian/build.sh'), [folder]);
  const [built = ''] = (await readdir(folder)).filter((name) => name.endsWith('.deb'));

  const unpacked = join(folder, 'unpacked');
  await run('dpkg-deb', ['--raw-extract', join(folder, built), unpacked]);
  const control = join(unpacked, 'DEBIAN/control');
  await writeFile(control, (await readFile(control, 'utf8')).replace(/^Version: .*/m, 'Version: 999'));
  await chown(unpacked, 0, 0);
  await run('dpkg-deb', ['-Zgzip', '-z1', '--build', unpacked, join(folder, 'next.deb')]);
  await rm(unpacked, { recursive: true });
  return [built, 'next.deb'];
}
