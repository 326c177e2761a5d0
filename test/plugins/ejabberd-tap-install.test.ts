import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startEjabberd } from '../support/ejabberd.ts';
import { ejabberdTap, tapFolder } from '../support/ejabberd-tap.ts';
import { connectTapPusher, numbered } from '../support/tap-pusher.ts';

const { isHere } = await ejabberdTap();

describe.skipIf(!isHere)('ejabberdctl module_install', () => {
  test('installs the folder unchanged, starts the module, reads options from the file with its name, and survives a restart', async () => {
    const contributed = await mkdtemp(join(tmpdir(), 'ejabberd-modules-'));
    try {
      await cp(tapFolder, join(contributed, 'sources/mod_event_pusher_tap'), { recursive: true });
      await using ejabberd = await startEjabberd({ contributed, serviceLog: false });
      await ejabberd.api('module_install', { module: 'mod_event_pusher_tap' });

      await using pusher = await connectTapPusher(ejabberd.component);
      const { epoch = '', node } = await pusher.ask();
      expect(node).toBe('nonode@nohost');
      await using alice = await ejabberd.connect({ user: 'alice' });
      alice.sendChat('nobody@localhost', 'installed?');
      expect(await numbered(pusher, 1)).toEqual(['1 installed?']);

      await mkdir(join(contributed, 'conf'));
      await writeFile(join(contributed, 'conf/mod_event_pusher_tap.yml'), 'modules: { mod_event_pusher_tap: { node: hut } }');
      await ejabberd.api('reload_config');
      expect(await pusher.ask({ epoch, h: 1 })).toMatchObject({ epoch, node: 'hut', pending: '0' });

      await ejabberd.restart();
      await using back = await connectTapPusher(ejabberd.component);
      expect(await back.ask({ epoch, h: 1 })).toMatchObject({ epoch, node: 'hut', 'from-seq': '2' });
    } finally {
      await rm(contributed, { recursive: true, force: true });
    }
  });
});
