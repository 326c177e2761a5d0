/** guides/prosody.md, followed: what it shows is what a real Prosody and the built service make of it. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { createShownPusher, readGuide, startShownBackend, troubleOf } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { freePort } from '../support/target.ts';

const guide = readGuide('prosody');
const start = () => startProsody({ hosts: ['example.org', 'localhost'], tap: false, ending: guide.block('lua', 'VirtualHost') });

describe.skipIf(!(await requirePackage('prosody')))('the page on Prosody', () => {
  test('leads to its message at its backend', async () => {
    await using prosody = await start();
    await using backend = await startShownBackend(guide);
    await using pusher = await createShownPusher(guide, { replace: { 5347: `${prosody.componentPort}`, 8000: `${backend.port}` } });
    await pusher.start();
    await using alice = await prosody.connect({ user: 'alice' });
    alice.sendChat('bob@example.org', 'Hi, Bob!');

    await eventually(() => expect(backend.logs()).toBe(guide.block('', 'author=')));
    expect(await prosody.shell('event_pusher_tap:info("example.org")')).toContain('attached 1, queued 0');
  });

  test('knows what it is told when something goes wrong', async () => {
    const nowhere = await freePort();
    await using prosody = await start();
    const here = { 5347: `${prosody.componentPort}` };
    const cases = [
      [{ replace: { 5347: `${nowhere}` } }, nowhere, 5347],
      [{ replace: here, env: { PUSHER_SECRET: 'another' } }],
      [{ replace: { ...here, 'pusher.example.org': 'nobody.example.org' } }, 'nobody.', 'pusher.'],
      [{ replace: here, hosts: ['localhost'] }, 'localhost', 'example.org'],
      [{ replace: here, hosts: ['elsewhere.org'] }, 'elsewhere.org', 'example.org'],
    ] as const;
    const known = guide.rows('it says').map(([text]) => text);

    for (const [changes, from = '', to = ''] of cases) {
      await using pusher = await createShownPusher(guide, changes);
      expect(known).toContain((await troubleOf(pusher)).replaceAll(String(from), String(to)));
    }
    await using first = await createShownPusher(guide, { replace: here });
    await first.start();
    await using second = await createShownPusher(guide, { replace: here });
    expect(known).toContain(await troubleOf(second));
  });
});
