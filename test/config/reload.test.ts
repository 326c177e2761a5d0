// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { describeDifferences, fixedDifferences, Reloader, type ReloaderOptions } from '../../src/config/reload.ts';
import type { Config } from '../../src/config/service-config.ts';
import { systemTimers } from '../../src/kit/clock.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Secret } from '../../src/kit/secret.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';
import { attachment, pool, writeConfig } from './write-config.ts';

const plain = `${attachment}${pool}`;
const withPool = (name: string) => `${plain}[outgoing_pools.http.${name}.connection]\nhost = "http://${name}"`;

/** A reloader with its own file; it loads the number of the reload. */
async function createRig(options: Partial<ReloaderOptions<number>> = {}) {
  const file = await writeConfig(plain);
  const steps: string[] = [];
  const { reload } = new Reloader<number>({
    config: await loadConfig(file, {}),
    load: async (_handlers, number) => {
      steps.push(`load ${number}`);
      return number;
    },
    apply: async (next, loaded) => {
      steps.push(`apply ${loaded}: ${next.pools.map(({ id }) => id)}`);
    },
    timers: systemTimers,
    ...options,
  });
  return { reload, steps, read: () => loadConfig(file, {}), rewrite: (text: string) => writeFile(file, text) };
}

test('a valid file is loaded, then applied, and the next file is compared with it', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(withPool('one'));
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools added one' });
  await rewrite(withPool('two'));
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools added two, removed one' });
  expect(steps).toEqual(['load 1', 'apply 1: http_pool,one', 'load 2', 'apply 2: http_pool,two']);
});

test('a change that a running service cannot apply requires a restart after its modules have loaded', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(`${plain}[service]\ndrain_timeout = "9s"\n[spool]\nengine = "memory"`);
  expect(await reload()).toEqual({ result: 'restart', reason: 'spool, service changed' });
  expect(steps).toEqual(['load 1']);
});

test('a file with mistakes is refused with all mistakes and not loaded', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(`${plain}[service]\ndrain_timeout = "soon"\n[spol]`);
  const { result, reason } = await reload();
  expect(result).toBe('refused');
  expect(reason).toMatch(/has 2 mistakes:\n {2}spol: .*\n {2}service\.drain_timeout: /);
  expect(steps).toEqual([]);
});

test('a configuration that fails to apply is refused, and the next file is compared with the running one', async () => {
  let broken = true;
  const { reload, rewrite } = await createRig({
    apply: async () => {
      if (broken) throw new Error('no thread to be had');
    },
  });
  await rewrite(withPool('one'));
  expect(await reload()).toEqual({ result: 'refused', reason: 'no thread to be had' });
  broken = false;
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools added one' });
});

test('a second reload waits for the first', async () => {
  const applied = createDeferred<void>();
  const ends: string[] = [];
  const { reload, steps, read } = await createRig({
    apply: async (_next, loaded) => {
      await applied.promise;
      ends.push(`applied ${loaded}, after ${steps}`);
    },
  });
  const both = [reload(), reload()];
  await eventually(() => steps.length === 1);
  await read(); // as long as a second reload would take to get as far, if it did not wait
  await read();
  applied.resolve();
  await Promise.all(both);
  expect(ends).toEqual(['applied 1, after load 1', 'applied 2, after load 1,load 2']);
});

test('a module that never finishes loading is refused and does not block later reloads', async () => {
  const timers = createSteppedTimers();
  const loading = createDeferred<void>();
  const { reload } = await createRig({
    timers,
    load: (_handlers, number) => {
      loading.resolve();
      return number === 1 ? new Promise<number>(() => undefined) : Promise.resolve(number);
    },
  });
  const first = reload();
  await loading.promise;
  timers.step();
  expect(await first).toMatchObject({ result: 'refused', reason: expect.stringContaining('did not load within 30 s') });
  expect(await reload()).toMatchObject({ result: 'applied' });
});

const handler = (name: string, more = ''): string => `[[modules.mod_event_pusher.http.handlers]]\nname = "${name}"\n${more}\n`;
const withHandler = `${plain}${handler('first')}`;

/** The configurations of one file before and after a change. */
async function rewritten(before: string, after: string, [env, nextEnv = env]: readonly NodeJS.ProcessEnv[] = [{}]) {
  const file = await writeConfig(before);
  const running = await loadConfig(file, env ?? {});
  await writeFile(file, after);
  return { running, next: await loadConfig(file, nextEnv ?? {}) };
}

test.each([
  ['nothing', withHandler, []],
  ['pools and handlers', `${withHandler}${handler('second')}[outgoing_pools.http.other.connection]\nhost = "http://other"`, []],
  ['the log level', `${withHandler}[general]\nloglevel = "debug"`, []],
  ['the chat server’s address', withHandler.replace('xmpp://127.0.0.1', 'xmpp://127.0.0.2'), ['attach']],
  ['a secret', withHandler.replace('a secret of the test', 'another'), ['attach']],
  ['the hosts', withHandler.replace('["localhost"]', '["localhost", "b.example"]'), ['attach', 'general.hosts']],
  ['a callback’s deadline', `${withHandler}[callbacks]\ntimeout = "1s"`, ['callbacks']],
  ['the spool', `${withHandler}[spool]\nengine = "memory"`, ['spool']],
  ['the admin listener and its token', `${withHandler}[admin]\nlisten = "[::1]:0"\ntoken = "t"`, ['admin']],
  ['the listener of the gate', `${withHandler}[gate]\ntimeout = "2s"`, ['gate']],
  ['a token of the metrics', `${withHandler}[metrics]\ntoken = "t"`, ['metrics']],
  ['the time to drain', `${withHandler}[service]\ndrain_timeout = "1s"`, ['service']],
])('a running service cannot change %s', async (_, after, fixed) => {
  const { running, next } = await rewritten(withHandler, after);
  expect(fixedDifferences(running, next)).toEqual(fixed);
});

test('a changed value of a reference is a difference', async () => {
  const text = withHandler.replace('a secret of the test', '${PUSHER_SECRET}');
  const { running, next } = await rewritten(text, text, [{ PUSHER_SECRET: 'one' }, { PUSHER_SECRET: 'two' }]);
  expect(fixedDifferences(running, next)).toEqual(['attach']);
});

test('changes of pools, handlers and log level are described', async () => {
  const before = `${withHandler}${handler('gone')}[outgoing_pools.http.old.connection]\nhost = "http://old"`;
  const after = `[general]\nloglevel = "debug"\n${withHandler}${handler('new')}[outgoing_pools.http.http_pool]\nworkers = 3`;
  const { running, next } = await rewritten(before, after.replace('name = "first"', 'name = "first"\nttl = "1h"'));
  expect(describeDifferences(running, next)).toBe(
    'pools removed old, changed http_pool; handlers added new, removed gone, changed first; loglevel debug',
  );
});

test('an unchanged file differs only in its callback modules', async () => {
  const { running, next } = await rewritten(withHandler, withHandler);
  expect(describeDifferences(running, next)).toBe('callback modules only');
});

test('a reload reads the certificates of pools again, and refuses broken ones as a whole', async () => {
  const [old, renewed] = [makeSelfSigned(['DNS:localhost']), makeSelfSigned(['DNS:localhost'])];
  const text = `${plain}[outgoing_pools.http.http_pool.connection.tls]\ncertfile = "cert.pem"\nkeyfile = "key.pem"\n`;
  const file = await writeConfig(text.replace('http://', 'https://'), { 'cert.pem': old.cert, 'key.pem': old.key });
  const used: (string | undefined)[] = [];
  const { reload } = new Reloader<undefined>({
    config: await loadConfig(file, {}),
    load: async () => undefined,
    apply: async ({ pools }) => void used.push(pools[0]?.tls.cert),
    timers: systemTimers,
  });
  const write = (name: string, content: string) => writeFile(join(dirname(file), name), content);

  await write('cert.pem', renewed.cert);
  expect(await reload()).toMatchObject({ result: 'refused', reason: expect.stringContaining('tls: received invalid files or ciphers') });
  await write('key.pem', renewed.key);
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools changed http_pool' });
  expect(used).toEqual([renewed.cert]);
});

describe('files that the configuration names', () => {
  const withFiles = [
    attachment.replace('a secret of the test', '${file:component}'),
    '[outgoing_pools.http.http_pool]',
    'connection.host = "https://localhost"',
    'connection.tls = { certfile = "tls/cert.pem", keyfile = "tls/key.pem" }',
    'auth = { bearer = "${file:token}" }',
  ].join('\n');

  /** A volume as Kubernetes makes it: a link to a folder that is replaced as a whole, and a link for each file. */
  async function writeVolume(folder: string, version: string, files: Readonly<Record<string, string>>): Promise<void> {
    await mkdir(join(folder, version), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, version, name), text);
    await symlink(version, join(folder, `..new-${version}`));
    await rename(join(folder, `..new-${version}`), join(folder, '..data'));
    for (const name of Object.keys(files)) await symlink(`..data/${name}`, join(folder, name)).catch(() => undefined);
  }

  async function startWatch() {
    const [old, renewed] = [makeSelfSigned(['DNS:localhost']), makeSelfSigned(['DNS:localhost'])];
    const file = await writeConfig(withFiles, { token: 'first', component: 'secret', 'tls/x': '' });
    const folder = dirname(file);
    await writeVolume(join(folder, 'tls'), '1', { 'cert.pem': old.cert, 'key.pem': old.key });
    const timers = createFakeTimers();
    const [applied, reported]: [Config[], unknown[]] = [[], []];
    const reloader = new Reloader<number>({
      config: await loadConfig(file, {}),
      load: async (_handlers, number) => number,
      apply: async (next, loaded) => {
        applied.push(next);
        expect(loaded, 'the modules that run').toBe(0);
      },
      timers,
    });
    const watch = reloader.watch((renewal) => reported.push(renewal));
    await watch.start();
    const look = async (times = 1): Promise<void> => {
      for (let count = 0; count < times; count += 1) {
        timers.fire();
        await eventually(() => timers.waits.includes(2000));
      }
    };
    return { folder, old, renewed, applied, reported, look, watch, reloader };
  }

  test('are taken over when they change, without the configuration file', async () => {
    const { folder, renewed, applied, reported, look, watch } = await startWatch();
    await look(3);
    expect(reported).toEqual([]);

    await writeFile(join(folder, 'event-pusher.toml'), 'half edited');
    await writeFile(join(folder, 'token'), 'second');
    await look();
    expect(reported, 'a file may still be written to').toEqual([]);
    await look(3);
    expect(reported).toEqual([{ result: 'applied', reason: 'files changed: pools changed http_pool' }]);
    expect(applied.at(-1)?.pools[0]?.headers[0]?.value.reveal()).toBe('Bearer second');

    await writeVolume(join(folder, 'tls'), '2', { 'cert.pem': renewed.cert, 'key.pem': renewed.key });
    await look(2);
    expect(reported).toHaveLength(2);
    expect(applied.at(-1)?.pools[0]?.tls).toMatchObject(renewed);
    await watch.stop();
  });

  test('that are broken are reported once, and the old ones stay', async () => {
    const { folder, old, renewed, applied, reported, look, watch } = await startWatch();
    await writeVolume(join(folder, 'tls'), '2', { 'cert.pem': renewed.cert, 'key.pem': old.key });
    await look(5);
    expect(reported).toEqual([{ result: 'refused', reason: expect.stringContaining('tls: received invalid files or ciphers') }]);
    await rm(join(folder, 'token'));
    await look(5);
    expect(reported).toHaveLength(2);
    expect(reported[1]).toEqual({ result: 'refused', reason: expect.stringContaining('ENOENT') });
    expect(applied).toEqual([]);

    await writeFile(join(folder, 'token'), 'first');
    await writeVolume(join(folder, 'tls'), '3', { 'cert.pem': renewed.cert, 'key.pem': renewed.key });
    await look(5);
    expect(reported).toHaveLength(3);
    expect(applied.map(({ pools }) => pools[0]?.tls.key)).toEqual([renewed.key]);
    await watch.stop();
  });

  test('do not include a pipe, which keeps the text that it had at the start', async () => {
    const file = await writeConfig(withFiles.replace(/^connection\.tls.*\n/m, ''), { token: 'first' });
    const pipe = join(dirname(file), 'component');
    execFileSync('mkfifo', [pipe]);
    const [config] = await Promise.all([loadConfig(file, {}), writeFile(pipe, 'secret')]);
    await writeFile(join(dirname(file), 'token'), 'second');
    const renewed = await config.renewed({});
    expect(renewed.attachments).toMatchObject([{ secret: expect.toSatisfy((secret: Secret) => secret.reveal() === 'secret') }]);
    expect(renewed.pools[0]?.headers[0]?.value.reveal()).toBe('Bearer second');
  });

  test('of parts that need a restart wait for SIGHUP', async () => {
    const { folder, applied, reported, look, watch, reloader } = await startWatch();
    await writeFile(join(folder, 'component'), 'changed');
    await look(5);
    const reason = 'files changed: no setting that can be applied now; changes of attach need SIGHUP, which restarts the service';
    expect(reported).toEqual([{ result: 'applied', reason }]);
    expect(applied[0]?.attachments).toMatchObject([{ secret: expect.toSatisfy((secret: Secret) => secret.reveal() === 'secret') }]);
    expect(await reloader.reload()).toEqual({ result: 'restart', reason: 'attach changed' });
    await watch.stop();
  });
});
