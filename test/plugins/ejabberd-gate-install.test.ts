import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startEjabberd } from '../support/ejabberd.ts';
import { tapFolder } from '../support/ejabberd-tap.ts';
import { startGate } from '../support/gate.ts';
import { requirePackage } from '../support/packages.ts';

const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');

describe.skipIf(!isHere)('ejabberdctl module_install', () => {
  test.each([
    ['with the tap', 'mod_event_pusher_tap: {}'],
    ['alone', ''],
  ])('installs the gate too, and an options file starts it %s', async (_, tap) => {
    const contributed = await mkdtemp(join(tmpdir(), 'ejabberd-modules-'));
    try {
      await using gate = await startGate({ token: 's3same', gate: () => ({ body: 'asked' }) });
      await using again = await startGate({ token: 's3same', gate: () => ({ body: 'asked elsewhere' }) });
      const options = (url: string) => `modules:\n  mod_event_pusher_gate: { url: "${url}", token: s3same, timeout: 20 }\n  ${tap}\n`;
      const optionsPath = join(contributed, 'conf/mod_event_pusher_tap.yml');
      await cp(tapFolder, join(contributed, 'sources/mod_event_pusher_tap'), { recursive: true });
      await using ejabberd = await startEjabberd({ contributed, serviceLog: false });
      await ejabberd.api('module_install', { module: 'mod_event_pusher_tap' });
      await mkdir(join(contributed, 'conf'));
      await writeFile(optionsPath, options(gate.url));
      await ejabberd.api('reload_config');
      await using alice = await ejabberd.connect({ user: 'alice' });
      await using bob = await ejabberd.connect({ user: 'bob' });
      const outcome = async () => {
        alice.sendChat(bob.bare, 'hi');
        return (await bob.next(({ name }) => name === 'message')).text('body');
      };
      expect(await outcome()).toBe('asked');

      await writeFile(optionsPath, options(again.url));
      await ejabberd.api('reload_config');
      expect(await outcome()).toBe('asked elsewhere');
    } finally {
      await rm(contributed, { recursive: true, force: true });
    }
  });

  test.each([
    ['url', 'https://127.0.0.1/gate'],
    ['on_failure', 'maybe'],
    ['token', 'two words'],
  ])('names the option that has an invalid value: %s', async (option, value) => {
    const contributed = await mkdtemp(join(tmpdir(), 'ejabberd-modules-'));
    try {
      await cp(tapFolder, join(contributed, 'sources/mod_event_pusher_tap'), { recursive: true });
      await using ejabberd = await startEjabberd({ contributed, serviceLog: false });
      await ejabberd.api('module_install', { module: 'mod_event_pusher_tap' });
      const reconfigured = ejabberd.reconfigure({ mod_event_pusher_gate: { [option]: value } });
      await expect(reconfigured).rejects.toThrow(`modules->mod_event_pusher_gate->${option}`);
    } finally {
      await rm(contributed, { recursive: true, force: true });
    }
  });
});
