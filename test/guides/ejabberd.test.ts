/** docs/guides/ejabberd.md, followed with a real ejabberd and the built service. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Ejabberd, startEjabberd } from '../support/ejabberd.ts';
import { tapFolder } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { canStartMachines, type FreshMachine, runOnFreshMachine } from '../support/fresh-machine.ts';
import { createShownPusher, follow as followPage, readGuide, startShownBackend, troubleOf } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { freePort } from '../support/target.ts';

const guide = readGuide('ejabberd');
const shown = guide.block('yaml', 'ejabberd_service');

interface Followed extends Ejabberd {
  /** The port of the listener that the page adds. */
  readonly shownPort: string;
}

/** An ejabberd without the component, after steps 2 to 4. */
async function follow(written = shown): Promise<Followed> {
  const contributed = await mkdtemp(join(tmpdir(), 'ejabberd-modules-'));
  await cp(tapFolder, join(contributed, 'sources/mod_event_pusher_tap'), { recursive: true });
  const ejabberd = await startEjabberd({
    contributed,
    serviceLog: false,
    hosts: ['example.org', 'localhost'],
    component: { domain: 'other.example.org', secret: 's3cret' },
    config: { acl: { here: { ip: '127.0.0.0/8' } }, access_rules: {}, s2s_access: undefined },
  });
  await ejabberd.api('module_install', { module: 'mod_event_pusher_tap' });
  const shownPort = `${await freePort()}`;
  await mkdir(join(contributed, 'conf'));
  await writeFile(join(contributed, 'conf/mod_event_pusher_tap.yml'), written.replace('5347', shownPort));
  await ejabberd.api('reload_config');
  return {
    ...ejabberd,
    shownPort,
    [Symbol.asyncDispose]: async () => {
      await ejabberd[Symbol.asyncDispose]();
      await rm(contributed, { recursive: true, force: true });
    },
  };
}

/** Debian's ejabberd as its package installs it, with the domain `localhost`. */
const debian: FreshMachine = {
  copies: ['/etc/ejabberd'],
  empty: { '/var/lib/ejabberd': 'ejabberd', '/var/log/ejabberd': 'ejabberd', '/usr/local/lib': 'root' },
  commands: {},
};
const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');

describe.skipIf(!isHere || !(await canStartMachines()))('the page on ejabberd, command by command on a fresh Debian', () => {
  test('delivers its message to its backend, and one that was sent while the service was down', async () => {
    const followed = followPage(guide).replaceAll('example.org', 'localhost');
    const { code, said } = await runOnFreshMachine(debian, `ejabberdctl start\nejabberdctl started\n${followed}`);

    const message = guide.block('', 'author=').trim().replace('example.org', 'localhost');
    expect(said).toContain(`the backend got\n${message}\n${message}\n`);
    expect(said).toMatch(/localhost\tejabberd@localhost\t0\t0\t.*\t1\t\d+\t0\t0\t0$/m); // one message waits, nothing failed
    expect(code, said).toBe(0);
  });
});

describe.skipIf(!isHere)('the page on ejabberd', () => {
  test('delivers its message to its backend', async () => {
    await using ejabberd = await follow();
    await using backend = await startShownBackend(guide);
    await using pusher = await createShownPusher(guide, { replace: { 5347: ejabberd.shownPort, 8000: `${backend.port}` } });
    await pusher.start();
    const [, type, from, to, , body] = /send_message (\w+) (\S+) (\S+) "(.*)" "(.*)"/.exec(guide.block('sh', 'send_message')) ?? [];
    await ejabberd.api('send_message', { type, from, to, subject: '', body });

    await eventually(() => expect(backend.logs()).toBe(guide.block('', 'author=')));
    await eventually(async () =>
      expect(await ejabberd.api('event_pusher_tap_info')).toContainEqual(
        expect.objectContaining({ name: 'example.org', attached: 1, queued: 0 }),
      ),
    );
  });

  test('lists the reasons that the service gives for failures', async () => {
    const nowhere = `${await freePort()}`;
    await using ejabberd = await follow();
    const here = { 5347: ejabberd.shownPort };
    const known = guide.rows('it says').map(([text]) => text);
    for (const [changes, from = '', to = ''] of [
      [{ replace: { 5347: nowhere } }, nowhere, '5347'],
      [{ replace: here, env: { PUSHER_SECRET: 'another' } }],
      [{ replace: { ...here, 'pusher.example.org': 'nobody.example.org' } }, 'nobody.', 'pusher.'],
    ] as const) {
      await using pusher = await createShownPusher(guide, changes);
      expect(known).toContain((await troubleOf(pusher)).replaceAll(from, to));
    }

    await using first = await createShownPusher(guide, { replace: here });
    await first.start();
    await using second = await createShownPusher(guide, { replace: here });
    expect(known).toContain(await troubleOf(second));
  });

  test('lists the reason that the service gives if the module is not loaded', async () => {
    await using ejabberd = await follow(shown.replace(/^modules:\n.*\n/m, ''));
    await using pusher = await createShownPusher(guide, { replace: { 5347: ejabberd.shownPort } });

    expect(guide.rows('it says').map(([text]) => text)).toContain(await troubleOf(pusher));
  });
});
