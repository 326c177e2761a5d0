/** The built service as a process: start, stop and reload, with a scripted chat server. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { createPusher, type Pusher, plainConfig } from '../support/pusher.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, freePort } from '../support/target.ts';

/** A backend's script that keeps its first request waiting until the test lets it go. */
function keepFirstWaiting() {
  const first = createDeferred<Answer>();
  let requests = 0;
  return {
    script: (): Answer | Promise<Answer> => {
      requests += 1;
      return requests === 1 ? first.promise : { kind: 'answer' };
    },
    letGo: () => first.resolve({ kind: 'answer' }),
  };
}

describe('on SIGTERM', () => {
  test('it waits for attempts in flight, keeps the rest for the next start, and exits with 0', async () => {
    const { script, letGo } = keepFirstWaiting();
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port, { script });
    chat.say('in flight');
    chat.say('behind it');
    await rig.backend.received(1);
    await eventually(() => chat.server.acked === 2);
    rig.pusher.signal('SIGTERM');
    await eventually(async () => expect(await readiness(rig.pusher)).toContainEqual(['draining', 'the service is stopping']));
    chat.say('too late');
    letGo();

    expect(await rig.pusher.ended()).toBe(0);
    expect(rig.messages()).toEqual(['in flight']);
    expect(chat.server.acked).toBe(2);
    expect(rig.pusher.stderr()).toBe('');

    await rig.pusher.start();
    await rig.settled(2);
    expect(rig.messages()).toEqual(['in flight', 'behind it', 'too late']);
  });

  test('it waits at most its drain timeout for a backend that does not answer', async () => {
    const { script } = keepFirstWaiting();
    await using chat = await startScriptedChat();
    const handlers = '[modules.mod_event_pusher.backend.http]\npath = "/notifications"\n[service]\ndrain_timeout = "200ms"';
    await using rig = await startPushRig(chat.server.port, { script, handlers });
    chat.say('not answered');
    await rig.backend.received(1);

    expect(await rig.pusher.stop()).toBe(0);
    await rig.pusher.start();
    await rig.settled(1);
    expect(new Set(rig.backend.requests.map((request) => request.header('webhook-id'))).size).toBe(1);
    expect(rig.messages()).toEqual(['not answered', 'not answered']);
  });

  test('a second signal stops it at once, and deliveries in flight are sent again under their ids', async () => {
    const { script } = keepFirstWaiting();
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port, { script });
    chat.say('cut off');
    await rig.backend.received(1);
    rig.pusher.signal('SIGTERM');
    await rig.pusher.said((line) => line.event === 'stopping');
    rig.pusher.signal('SIGTERM');

    expect(await rig.pusher.ended()).toBe(1);
    await rig.pusher.start();
    await rig.settled(1);
    expect(rig.messages()).toEqual(['cut off', 'cut off']);
    expect(new Set(rig.backend.requests.map((request) => request.header('webhook-id'))).size).toBe(1);
  });
});

/** Blocks the first or the second thread that imports it, in `open(2)`. */
const stuckModule = (imports: number) => `
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
const near = (name) => new URL(name, import.meta.url);
appendFileSync(near('imports'), 'x');
if (readFileSync(near('imports'), 'utf8').length === ${imports}) {
  writeFileSync(near('stuck'), '');
  readFileSync(near('fifo'));
}
export const handleResponse = () => 1;
`;

describe.each([
  ['the service thread', 1],
  ['the thread of a pool', 2],
])('while %s is stuck in native code', (_, imports) => {
  test.each(['SIGTERM', 'SIGINT'] as const)('a second %s ends the process', async (signal) => {
    const handlers = '[modules.mod_event_pusher.backend.http]\ncallback_module = "./stuck.mjs"';
    await using rig = await startPushRig(await freePort(), { started: false, handlers, files: { 'stuck.mjs': stuckModule(imports) } });
    const { pusher } = rig;
    await promisify(execFile)('mkfifo', [join(pusher.folder, 'fifo')]);
    pusher.launch();
    await eventually(() => expect(existsSync(join(pusher.folder, 'stuck'))).toBe(true));
    pusher.signal(signal);
    await pusher.said((line) => line.event === 'stopping');
    pusher.signal(signal);
    expect(await pusher.ended()).toBe(null); // ended by a signal
    expect(pusher.log.at(-1)).toMatchObject({ event: 'killed' });
  });
});

describe('on SIGHUP', () => {
  test('it restarts for settings that cannot change while it runs, without losing messages', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    chat.say('before');
    await rig.settled(1);
    await rewrite(
      rig.pusher,
      (text) => `${text.replace('path = "/notifications"', 'path = "/elsewhere"')}\n[service]\ndrain_timeout = "9s"`,
    );
    rig.pusher.signal('SIGHUP');
    const reloaded = await rig.pusher.said((line) => line.event === 'config.reload');
    chat.say('meanwhile'); // the old thread may still take it
    await eventually(() => expect(rig.pusher.log.filter((line) => line.event === 'ready')).toHaveLength(2));
    chat.say('after');
    await rig.backend.received(3);

    expect([reloaded['result'], reloaded.msg]).toEqual(['restart', expect.stringContaining('service changed')]);
    expect([...rig.messages('notifications'), ...rig.messages('elsewhere')]).toEqual(['before', 'meanwhile', 'after']);
    expect(rig.messages('elsewhere').at(-1)).toBe('after');
    expect(await rig.pusher.stop()).toBe(0);
  });

  test('it keeps the old configuration if the file has mistakes, and lists them', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    await rewrite(rig.pusher, (text) => text.replace('workers = 20', 'wokers = 20'));
    rig.pusher.signal('SIGHUP');
    const refusal = await rig.pusher.said((line) => line['result'] === 'refused');
    chat.say('as before');
    await rig.settled(1);

    expect(refusal.level).toBe('error');
    expect(refusal.msg).toContain('outgoing_pools.http.http_pool.wokers');
    expect(refusal.msg).toContain('did you mean "workers"?');
    expect(rig.messages()).toEqual(['as before']);
    expect(rig.pusher.log.filter((line) => line.event === 'ready')).toHaveLength(1);
  });
});

describe('it does not start, with the reason in one line, if', () => {
  test('another process uses its spool', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    const path = join(rig.pusher.folder, 'spool.sqlite');
    const config = plainConfig({ componentPort: chat.server.port, backend: rig.backend.origin });
    await using second = await createPusher({ config, spool: `[spool]\npath = "${path}"` });

    await expectRefusal(second, [path, `process ${rig.pusher.pid}`]);
    chat.say('still here');
    await rig.settled(1);
  });

  test('another program listens on its port', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    const taken = `127.0.0.1:${rig.backend.port}`;
    const config = plainConfig({ componentPort: chat.server.port, backend: rig.backend.origin });
    await using second = await createPusher({ config, listen: taken });

    await expectRefusal(second, [taken, 'another program listens there', '[admin] listen']);
  });

  test('its spool cannot be created', async () => {
    const config = plainConfig({ componentPort: await freePort(), backend: 'http://127.0.0.1:1' });
    await using pusher = await createPusher({ config, spool: '[spool]\npath = "event-pusher.toml/spool.sqlite"' });

    await expectRefusal(pusher, ['event-pusher.toml', 'spool']);
  });
});

async function expectRefusal(pusher: Pusher, words: readonly string[]): Promise<void> {
  pusher.launch();
  expect(await pusher.ended()).toBe(1);
  for (const word of words) expect(pusher.stderr()).toContain(word);
  expect(pusher.stderr().trimEnd().split('\n')).toHaveLength(1);
  expect(pusher.log.filter((line) => line.event === 'ready')).toEqual([]);
}

async function rewrite(pusher: Pusher, change: (text: string) => string): Promise<void> {
  const file = join(pusher.folder, 'event-pusher.toml');
  await writeFile(file, change(await readFile(file, 'utf8')));
}

/** The names and reasons of the failed checks of `/readyz`. */
async function readiness(pusher: Pusher): Promise<[name: string, reason: string][]> {
  const { checks }: { readonly checks: readonly { name: string; ready: boolean; reason: string }[] } = JSON.parse(
    (await pusher.get('/readyz')).text,
  );
  return checks.filter(({ ready }) => !ready).map(({ name, reason }) => [name, reason]);
}
