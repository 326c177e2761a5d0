/** Errors of callback modules, on the built service. */
import { expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { startTarget } from '../support/target.ts';

const handlers = `
[callbacks]
timeout = "200ms"
block_timeout = "500ms"
[[modules.mod_event_pusher.backend.http]]
name = "clumsy"
path = "/clumsy"
callback_module = "clumsy"
[[modules.mod_event_pusher.backend.http]]
name = "steady"
path = "/steady"
`;

async function startRig(clumsy: string) {
  const backend = await startTarget();
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  const pusher = await createPusher({
    loglevel: 'info',
    config: plainConfig({ componentPort: server.port, backend: backend.origin, handlers }),
    files: { 'clumsy.mjs': clumsy },
  });
  await pusher.start();
  return {
    backend,
    server,
    pusher,
    say: (body: string) => server.push(chat(body), { dir: 'in', session: 'alice@localhost/phone' }),
    seen: (path: string) =>
      backend.requests
        .filter((request) => request.path === `/webservice/${path}`)
        .map(({ body }) => new URLSearchParams(String(body)).get('message')),
    [Symbol.asyncDispose]: async () => {
      await pusher[Symbol.asyncDispose]();
      await backend.stop();
      await server.close();
    },
  };
}

test('a callback that throws, rejects, returns an invalid value or never returns affects only its own handler and packet', async () => {
  await using rig = await startRig(`
    export function shouldMakeReq({ packet }) {
      const body = packet.text('body');
      if (body === 'throw') throw new Error('on purpose');
      if (body === 'reject') return Promise.reject(new Error('on purpose'));
      if (body === 'nonsense') return 'perhaps';
      if (body === 'never') return new Promise(() => {});
      if (body === 'revoked') throw revoked();
      if (body === 'stray') Promise.reject(new Error('on purpose'));
      if (body === 'stray-revoked') Promise.reject(revoked());
      return true;
    }
    function revoked() {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    }`);
  const said = ['throw', 'reject', 'nonsense', 'never', 'revoked', 'stray', 'stray-revoked', 'fine'];
  for (const body of said) rig.say(body);

  await eventually(() => rig.seen('clumsy').length === 3 && rig.seen('steady').length === said.length);
  expect(rig.seen('clumsy')).toEqual(['stray', 'stray-revoked', 'fine']);
  expect([...rig.seen('steady')].sort()).toEqual(said.toSorted());
  await eventually(() => rig.server.acked === said.length);
  expect(await rig.pusher.logged('rejection.stray', 2)).toHaveLength(2);

  const failures = await rig.pusher.logged('callback.failed', 5);
  expect(failures.map((line) => [line['handler'], line['callback']])).toEqual(Array.from({ length: 5 }, () => ['clumsy', 'shouldMakeReq']));
  const { text } = await rig.pusher.get('/metrics');
  expect(text).toContain('event_pusher_dead_letters_total{pool="http_pool",handler="clumsy",reason="callback-failed"} 5');
});

test('a callback that blocks the thread is named, and skipped for the packet after three attempts', async () => {
  await using rig = await startRig(`
    export function shouldMakeReq({ packet }) {
      if (packet.text('body') === 'block') for (;;);
      return true;
    }`);
  for (const body of ['before', 'block', 'after']) rig.say(body);

  await eventually(() => rig.server.acked === 3);
  await eventually(() => expect(new Set(rig.seen('steady'))).toEqual(new Set(['before', 'block', 'after'])));
  await eventually(() => expect(new Set(rig.seen('clumsy'))).toEqual(new Set(['before', 'after'])));
  const strikes = await rig.pusher.logged('callback.blocked', 3);
  expect(strikes.map((line) => [line['handler'], line['strikes']])).toEqual([
    ['clumsy', 1],
    ['clumsy', 2],
    ['clumsy', 3],
  ]);
});

test.each(['before', 'after'])('an error thrown %s the service handles a commit restarts it, and nothing is lost', async (when) => {
  // A module shares its thread with the service, and a library that it loads may patch Node: so an error can come from anywhere.
  await using rig = await startRig(`
    import { existsSync, writeFileSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    const thrown = new URL('./thrown', import.meta.url);
    const { emit } = Worker.prototype;
    let isArmed = false;
    Worker.prototype.emit = function (name, message) {
      const throws = isArmed && message?.kind === 'committed' && !existsSync(thrown);
      if (!throws) return emit.apply(this, arguments);
      writeFileSync(thrown, '');
      if ('${when}' === 'after') emit.apply(this, arguments);
      throw new Error('on purpose');
    };
    export function shouldMakeReq({ packet }) {
      isArmed ||= packet.text('body') === 'arm';
      return true;
    }`);
  const said = ['arm', ...Array.from({ length: 50 }, (_, number) => String(number))];
  for (const body of said) rig.say(body);

  await eventually(() => rig.server.acked === said.length);
  await eventually(() => ['clumsy', 'steady'].every((path) => new Set(rig.seen(path)).size === said.length));
  const failures = await rig.pusher.logged('service.failed', 1);
  expect(failures.map(({ msg }) => msg)).toEqual([expect.stringContaining('clumsy.mjs')]);
});

test('a module without the required exports is refused at the start, with the missing exports', async () => {
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using pusher = await createPusher({
    config: plainConfig({ componentPort: server.port, backend: 'http://127.0.0.1:1', handlers }),
    files: { 'clumsy.mjs': 'export function should_make_req() { return true; }' },
  });
  pusher.launch();
  expect(await pusher.ended()).toBe(1);
  expect(pusher.stderr()).toContain('shouldMakeReq');
  expect(pusher.stderr()).toContain('clumsy');
  await server.close();
});
