import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { Trouble } from '../../src/supervise/supervisor.ts';
import { writeConfig } from '../config/write-config.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';

// The build: the service thread cannot load .ts here.
const { createSupervisor } = await importBuilt<typeof import('../../src/supervise/supervisor.ts')>('src/supervise/supervisor.js');

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

/** Notes that it was loaded, which happens once in a service thread's life, and does to the thread what a file says. */
const obedient = `
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
const beside = (name) => new URL('../' + name, import.meta.url);
appendFileSync(beside('loaded'), 'x');
setInterval(() => {
  let order = '';
  try {
    order = readFileSync(beside('order'), 'utf8');
    rmSync(beside('order'));
  } catch {}
  if (order === 'exit') process.exit(7);
  if (order === 'throw') throw new Error('thrown by the test');
}, 5);
export const shouldMakeReq = () => false;
`;

async function createRig(text = config) {
  const file = await writeConfig(text, { 'callbacks/obedient.mjs': obedient });
  const beside = (name: string) => join(dirname(file), name);
  const troubles: Trouble[] = [];
  const timers = createSteppedTimers();
  const onTrouble = (trouble: Trouble) => troubles.push(trouble);
  const supervisor = createSupervisor({ file, clock: systemClock, random: () => 0.5, timers, onTrouble });
  /** In one step: a thread that looks meanwhile would read half an order. */
  async function order(what: 'exit' | 'throw'): Promise<void> {
    await writeFile(beside('order to be'), what);
    await rename(beside('order to be'), beside('order'));
  }

  const loaded = async () => (await readFile(beside('loaded'), 'utf8')).length;
  return {
    supervisor,
    troubles,
    timers,
    rewrite: (changed: string) => writeFile(file, changed),
    order,
    /** Resolves when so many service threads have loaded their callbacks. */
    loaded: (count: number) => eventually(async () => (await loaded()) === count, { withinMs: 30_000 }),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  };
}

test('a first start that fails tells why, and is not tried again', async () => {
  const { supervisor, troubles, timers } = await createRig(`${config}\nwhat = "is this"`);
  await expect(supervisor.start()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('what') });
  timers.step();
  expect(troubles).toEqual([]);
});

describe('a service thread', () => {
  test.each([
    ['exit', /ended with code 7/],
    ['throw', /thrown by the test/],
  ] as const)('that meets its end by %s is started again', async (order, message) => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.order(order);
    await eventually(() => rig.troubles.length > 0);
    expect(rig.troubles).toEqual([{ kind: 'failed', message: expect.stringMatching(message), restartInMs: 500 }]);
    rig.timers.step();
    await rig.loaded(2);
  });

  test('that cannot be started again is waited for ever longer, until it can', async () => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.rewrite(`${config}\nwhat = "is this"`);
    await rig.order('exit');
    for (const failures of [1, 2, 3]) {
      await eventually(() => rig.troubles.length === failures, { withinMs: 30_000 });
      rig.timers.step();
    }
    await eventually(() => rig.troubles.length === 4, { withinMs: 30_000 });
    expect(rig.troubles.map((trouble) => trouble.kind === 'failed' && trouble.restartInMs)).toEqual([500, 1000, 2000, 4000]);
    await rig.rewrite(config);
    rig.timers.step();
    await rig.loaded(2);
  });

  test('ends when it is told to, and is not started again', async () => {
    const rig = await createRig();
    await rig.supervisor.start();
    await rig.supervisor.stop();
    rig.timers.step();
    await rig.loaded(1);
    expect(rig.troubles).toEqual([]);
  });

  test('is replaced by one that reads the file anew', async () => {
    await using rig = await createRig();
    await rig.supervisor.start();
    await rig.supervisor.restart();
    await rig.loaded(2);
    expect(rig.troubles).toEqual([]);
  });
});
