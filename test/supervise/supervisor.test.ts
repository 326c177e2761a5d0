import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { Trouble } from '../../src/supervise/supervisor.ts';
import { writeConfig } from '../config/write-config.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';
import { freePort } from '../support/target.ts';

// The build: the service thread cannot load .ts here.
const { Supervisor } = await importBuilt<typeof import('../../src/supervise/supervisor.ts')>('src/supervise/supervisor.js');

const config = `
[general]
hosts = ["localhost"]
loglevel = "silent"
[admin]
listen = "127.0.0.1:0"
[spool]
engine = "memory"
[outgoing_pools.http.http_pool.connection]
host = "http://127.0.0.1:1"
[modules.mod_event_pusher.backend.http]
callback_module = "obedient"
`;

/** The same with an attachment to an unreachable chat server: a reload refuses a configuration without an attachment. */
const attached = `${config}
[attach.chat]
type = "component"
service = "xmpp://127.0.0.1:1"
domain = "pusher.localhost"
secret = "s3cret"
`;

/** Records each load (once per service thread and per reload), and ends the thread as a file orders. */
const obedient = `
import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
const inFolder = (name) => new URL('../' + name, import.meta.url);
appendFileSync(inFolder('loaded'), 'x');
setInterval(() => {
  let order = '';
  try {
    order = readFileSync(inFolder('order'), 'utf8');
    rmSync(inFolder('order'));
  } catch {}
  if (order === 'block') {
    appendFileSync(inFolder('blocked'), '');
    while (!existsSync(inFolder('go')));
  }
  if (order === 'exit') process.exit(7);
  if (order === 'throw') throw new Error('thrown by the test');
  if (order === 'throw-nothing') throw undefined;
}, 5);
export const shouldMakeReq = () => false;
`;

async function createRig(written = config) {
  const port = await freePort();
  const at = (toml: string) => toml.replace('127.0.0.1:0', `127.0.0.1:${port}`);
  const file = await writeConfig(at(written), { 'callbacks/obedient.mjs': obedient });
  const inFolder = (name: string) => join(dirname(file), name);
  const troubles: Trouble[] = [];
  const timers = createSteppedTimers();
  const onTrouble = (trouble: Trouble) => troubles.push(trouble);
  const levels: string[] = [];
  const onConfigured = (level: string) => levels.push(level);
  const supervisor = new Supervisor({ file, clock: systemClock, random: () => 0.5, timers, onTrouble, onConfigured });
  /** Renames a complete file, so that the thread never reads half an order. */
  async function order(what: 'block' | 'exit' | 'throw' | 'throw-nothing'): Promise<void> {
    await writeFile(inFolder('order.new'), what);
    await rename(inFolder('order.new'), inFolder('order'));
  }

  async function metric(sample: string): Promise<number | undefined> {
    const lines = (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).split('\n');
    const line = lines.find((candidate) => candidate.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length + 1));
  }

  /** Uses `http`, because `fetch` sets the Host header itself. */
  async function get(path: string, headers: Record<string, string> = {}) {
    const request = httpGet({ host: '127.0.0.1', port, path, headers, agent: false });
    const response = await new Promise<IncomingMessage>((resolve, reject) => request.once('response', resolve).once('error', reject));
    const body = await text(response);
    return { status: response.statusCode, json: () => JSON.parse(body) };
  }

  const loaded = async () => (await readFile(inFolder('loaded'), 'utf8')).length;
  return {
    supervisor,
    troubles,
    timers,
    levels,
    rewrite: (changed: string) => writeFile(file, at(changed)),
    order,
    inFolder,
    get,
    metric,
    reloads: (result: string) => metric(`event_pusher_config_reloads_total{result="${result}"}`),
    succeeded: () => metric('event_pusher_config_last_reload_successful'),
    /** Resolves when the callbacks have been loaded `count` times. */
    loaded: (count: number) => eventually(async () => (await loaded()) === count),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  };
}

test('it responds once the blocked service thread goes on, and at once while none runs', async () => {
  await using rig = await createRig();
  await rig.supervisor.responds();
  await rig.supervisor.start();
  await rig.supervisor.responds();

  await rig.order('block');
  await eventually(() => readFile(rig.inFolder('blocked')));
  const sequence: string[] = [];
  const responses = [1, 2].map(() => rig.supervisor.responds().then(() => sequence.push('responded')));
  sequence.push('released');
  await writeFile(rig.inFolder('go'), '');
  await Promise.all(responses);
  expect(sequence).toEqual(['released', 'responded', 'responded']);
});

test('it responds when the service thread has died', async () => {
  await using rig = await createRig();
  await rig.supervisor.start();
  await rig.order('block');
  await eventually(() => readFile(rig.inFolder('blocked')));
  const responded = rig.supervisor.responds();
  await rig.supervisor.kill();
  await responded;
});

test('a failed first start rejects with its reason and is not repeated', async () => {
  const { supervisor, troubles, timers } = await createRig(`${config}\nwhat = "is this"`);
  await expect(supervisor.start()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('what') });
  timers.step();
  expect(troubles).toEqual([]);
});

describe('an unusable spool', () => {
  const onDisk = config.replace('engine = "memory"', 'path = "spool.sqlite"');

  test('leaves /readyz up with the reason until the file is replaced', async () => {
    await using rig = await createRig(onDisk);
    await writeFile(rig.inFolder('spool.sqlite'), 'this was a spool');
    await rig.supervisor.start();
    expect(rig.troubles).toEqual([{ kind: 'failed', message: expect.stringContaining('its file is damaged'), restartInMs: 500 }]);

    await eventually(() => rig.get('/readyz'));
    const readyz = await rig.get('/readyz');
    expect(readyz.status).toBe(503);
    expect(readyz.json()).toEqual({
      status: 'not ready',
      checks: [
        { name: 'service', ready: false, reason: expect.stringMatching(/spool\.sqlite: its file is damaged .* start with a backup/) },
      ],
    });
    expect((await rig.get('/healthz')).status).toBe(200);
    const metrics = await rig.get('/metrics');
    expect([metrics.status, metrics.json()]).toMatchObject([503, { code: 'SERVICE_DOWN' }]);
    expect((await rig.get('/readyz', { host: 'rebound.example' })).status).toBe(421);

    rig.timers.step();
    await eventually(() => expect(rig.troubles).toHaveLength(2));
    await eventually(async () => expect((await rig.get('/readyz')).status).toBe(503));

    await rm(rig.inFolder('spool.sqlite'));
    rig.timers.step();
    await eventually(async () => expect(await rig.metric('event_pusher_spool_writable')).toBe(1));
  });

  test('does not keep the process from stopping', async () => {
    const rig = await createRig(onDisk);
    await writeFile(rig.inFolder('spool.sqlite'), 'this was a spool');
    await rig.supervisor.start();
    await eventually(() => rig.get('/readyz'));
    await rig.supervisor.stop();
    await expect(rig.get('/readyz')).rejects.toThrow();
  });
});

describe('a service thread', () => {
  test.each([
    ['exit', /ended with code 7/],
    ['throw', /Error at .*obedient\.mjs/],
    ['throw-nothing', /undefined|ended with code 1/], // Node reports one or the other
  ] as const)('that ends by %s is started again', async (order, message) => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.order(order);
    await eventually(() => rig.troubles.length > 0);
    expect(rig.troubles).toEqual([{ kind: 'failed', message: expect.stringMatching(message), restartInMs: 500 }]);
    rig.timers.step();
    await rig.loaded(2);
  });

  test('that fails to start again is retried with doubling pauses until it starts', async () => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.rewrite(`${config}\nwhat = "is this"`);
    await rig.order('exit');
    for (const failures of [1, 2, 3]) {
      await eventually(() => rig.troubles.length === failures);
      rig.timers.step();
    }
    await eventually(() => rig.troubles.length === 4);
    expect(rig.troubles.map((trouble) => trouble.kind === 'failed' && trouble.restartInMs)).toEqual([500, 1000, 2000, 4000]);
    await rig.rewrite(config);
    rig.timers.step();
    await rig.loaded(2);
  });

  test('that is stopped is not started again', async () => {
    const rig = await createRig();
    await rig.supervisor.start();
    await rig.supervisor.stop();
    rig.timers.step();
    await rig.loaded(1);
    expect(rig.troubles).toEqual([]);
  });

  test('is replaced if the new configuration requires a restart, and the reload is counted', async () => {
    await using rig = await createRig(attached);
    await rig.supervisor.start();
    await rig.rewrite(`${attached}[callbacks]\ntimeout = "1s"`);
    rig.supervisor.reload();
    await eventually(() => rig.levels.length === 2);
    await eventually(async () => expect([await rig.reloads('restart'), await rig.succeeded()]).toEqual([1, 1]));
    expect(rig.troubles).toEqual([]);
  });

  test('that applies a new configuration stays, and its log level is reported', async () => {
    await using rig = await createRig(attached);
    await rig.supervisor.start();
    await rig.rewrite(attached.replace('loglevel = "silent"', 'loglevel = "fatal"'));
    rig.supervisor.reload();
    await eventually(async () => expect(await rig.reloads('applied')).toBe(1));
    expect(rig.levels).toEqual(['silent', 'fatal']);
    expect(rig.troubles).toEqual([]);
  });

  test('that refuses a configuration stays, and later threads count that reload', async () => {
    await using rig = await createRig(attached);
    await rig.supervisor.start();
    await rig.rewrite(config); // no attachment
    rig.supervisor.reload();
    await eventually(async () => expect(await rig.reloads('refused')).toBe(1));
    expect([await rig.succeeded(), rig.levels]).toEqual([0, ['silent']]);

    await rig.rewrite(attached);
    await rig.order('exit');
    await eventually(() => rig.troubles.length > 0);
    rig.timers.step();
    await eventually(async () => expect([await rig.reloads('refused'), await rig.succeeded()]).toEqual([1, 1]));
  });

  test('that waits for its restart is started by a reload', async () => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.order('exit');
    await eventually(() => rig.troubles.length > 0);
    rig.supervisor.reload();
    await rig.loaded(2);
    rig.timers.step();
    await rig.loaded(2);
  });

  test('can be stopped while it is being replaced', async () => {
    const rig = await createRig(attached);
    await rig.supervisor.start();
    await rig.rewrite(`${attached}[callbacks]\ntimeout = "1s"`);
    rig.supervisor.reload();
    await eventually(async () => expect(await rig.reloads('restart')).toBe(1));
    await rig.supervisor.stop();
    await expect(rig.metric('process_cpu_seconds_total')).rejects.toThrow();
  });
});
