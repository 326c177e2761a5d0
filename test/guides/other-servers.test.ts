/** docs/guides/other-servers.md, followed with a Prosody without our modules. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { createShownPusher, readGuide, startShownBackend } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';

const guide = readGuide('other-servers');

describe.skipIf(!(await requirePackage('prosody')))('the page on components', () => {
  test('delivers its message to its backend', async () => {
    await using prosody = await startProsody({ hosts: ['example.org'], tap: false, ending: guide.block('lua', 'Component') });
    await using backend = await startShownBackend(guide);
    await using pusher = await createShownPusher(guide, { replace: { 5347: `${prosody.componentPort}`, 8000: `${backend.port}` } });
    await pusher.start();
    await using alice = await prosody.connect({ user: 'alice' });
    alice.sendChat('anybody@bot.example.org', 'Hi!');

    await eventually(() => expect(backend.logs()).toBe(guide.block('', 'author=')));
  });
});
