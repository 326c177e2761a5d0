/** docs/guides/prosody.md, followed with a real Prosody and the built service. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { canStartMachines, type FreshMachine, runOnFreshMachine } from '../support/fresh-machine.ts';
import { createShownPusher, follow, readGuide, startShownBackend, troubleOf } from '../support/guide.ts';
import { isUnchanged, requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { freePort } from '../support/target.ts';

const guide = readGuide('prosody');
/** Debian's Prosody as its package installs it; `systemctl restart` is all that the page needs of systemd. */
const debian: FreshMachine = {
  copies: ['/etc/prosody'],
  empty: { '/var/lib/prosody': 'prosody', '/var/log/prosody': 'prosody', '/run/prosody': 'prosody', '/usr/local/lib': 'root' },
  commands: {
    systemctl: `[ "$*" = "restart prosody" ] || { echo "systemctl $*: not here" >&2; exit 1; }
if [ -f /run/prosody/prosody.pid ]; then
  kill "$(cat /run/prosody/prosody.pid)"
  while [ -f /run/prosody/prosody.pid ]; do sleep 0.1; done
fi
setpriv --reuid prosody --regid prosody --init-groups prosody -F >/var/log/prosody/out 2>&1 &
until bash -c '</dev/tcp/127.0.0.1/5222' 2>/dev/null; do sleep 0.1; done`,
  },
};
const canFollow =
  (await requirePackage('prosody')) &&
  (await requirePackage('go-sendxmpp')) &&
  (await isUnchanged('prosody')) &&
  (await canStartMachines());

describe.skipIf(!canFollow)('the page on Prosody, command by command on a fresh Debian', () => {
  test('delivers its message to its backend, and one that was sent while the service was down', async () => {
    const { code, said } = await runOnFreshMachine(debian, follow(guide));

    const message = guide.block('', 'author=').trim();
    expect(said).toContain(`the backend got\n${message}\n${message}\n`);
    expect(said).toContain('attached 0, queued 1,');
    expect(code, said).toBe(0);
  });
});

const start = () => startProsody({ hosts: ['example.org', 'localhost'], tap: false, ending: guide.block('lua', 'VirtualHost') });

describe.skipIf(!(await requirePackage('prosody')))('the page on Prosody', () => {
  test('delivers its message to its backend', async () => {
    await using prosody = await start();
    await using backend = await startShownBackend(guide);
    await using pusher = await createShownPusher(guide, { replace: { 5347: `${prosody.componentPort}`, 8000: `${backend.port}` } });
    await pusher.start();
    await using alice = await prosody.connect({ user: 'alice' });
    alice.sendChat('bob@example.org', 'Hi, Bob!');

    await eventually(() => expect(backend.logs()).toBe(guide.block('', 'author=')));
    await eventually(async () => expect(await prosody.shell('event_pusher_tap:info("example.org")')).toContain('attached 1, queued 0'));
  });

  test('lists the reasons that the service gives for failures', async () => {
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
