/** docs/guides/account.md, followed with a Prosody that requires TLS and has no module of ours. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { createShownPusher, exported, readGuide, startShownBackend, troubleOf } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { freePort } from '../support/target.ts';

const guide = readGuide('account');

function start(): Promise<Prosody> {
  return startProsody({
    hosts: ['example.org'],
    users: { alice: 'pw', bot: exported(guide)['BOT_PASSWORD'] ?? '' },
    tap: false,
    tls: makeSelfSigned(['DNS:example.org']),
    rooms: 'conference.example.org',
    roomModules: ['muc_mam'],
  });
}

/** The `service` of the page, and its line for a certificate authority. */
const service = '"xmpp://example.org"';
const certificate = '# cacertfile = "/etc/ssl/our-ca.pem"';

function here({ c2sPort, directory }: Prosody): Readonly<Record<string, string>> {
  return { [service]: `"xmpp://127.0.0.1:${c2sPort}"`, [certificate]: `cacertfile = "${join(directory, 'certs/cert')}"` };
}

describe.skipIf(!(await requirePackage('prosody')))('the page on accounts', () => {
  test('delivers its message to its backend, and one that was sent while the service was down', async () => {
    await using prosody = await start();
    await using backend = await startShownBackend(guide);
    await using pusher = await createShownPusher(guide, { replace: { ...here(prosody), 8000: `${backend.port}` } });
    await pusher.start();
    await using alice = await prosody.connect({ user: 'alice', transport: 'bosh' });
    alice.sendChat('bot@example.org', 'Hi, bot!');
    const shown = guide.block('', 'author=');
    await eventually(() => expect(backend.logs()).toBe(shown));

    await pusher.stop();
    alice.sendChat('bot@example.org', 'Still there?');
    await pusher.start();
    await eventually(() => expect(backend.logs()).toBe(shown + shown.replace('Hi%2C+bot%21', 'Still+there%3F')));
  });

  test('lists the reasons that the service gives for failures', async () => {
    const nowhere = `${await freePort()}`;
    await using prosody = await start();
    const known = guide.rows('it says').map(([text]) => text);
    for (const changes of [
      { replace: { ...here(prosody), [service]: `"xmpp://127.0.0.1:${nowhere}"` } },
      { replace: here(prosody), env: { BOT_PASSWORD: 'another' } },
      { replace: { ...here(prosody), '[attach.bot.tls]': '', [certificate]: '' } },
      { replace: { ...here(prosody), [certificate]: '' } },
    ]) {
      await using pusher = await createShownPusher(guide, changes);
      expect(known).toContain((await troubleOf(pusher)).replace(nowhere, '5222'));
    }
  });
});
