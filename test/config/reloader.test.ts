import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { createReloader, type ReloaderOptions } from '../../src/config/reloader.ts';
import { systemTimers } from '../../src/kit/clock.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { eventually } from '../support/eventually.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';
import { attachment, pool, writeConfig } from './write-config.ts';

const plain = `${attachment}${pool}`;
const withPool = (name: string) => `${plain}[outgoing_pools.http.${name}.connection]\nhost = "http://${name}"`;

/** A reloader of a file of its own; what it loads is the number of the reload. */
async function createRig(options: Partial<ReloaderOptions<number>> = {}) {
  const file = await writeConfig(plain);
  const steps: string[] = [];
  const reload = createReloader<number>({
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

test('a file that is well is loaded, then applied, and the next one is compared with it', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(withPool('one'));
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools added one' });
  await rewrite(withPool('two'));
  expect(await reload()).toEqual({ result: 'applied', reason: 'pools added two, removed one' });
  expect(steps).toEqual(['load 1', 'apply 1: http_pool,one', 'load 2', 'apply 2: http_pool,two']);
});

test('what a running service cannot change wants a restart, once its modules have been found to be well', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(`${plain}[service]\ndrain_timeout = "9s"\n[spool]\nengine = "memory"`);
  expect(await reload()).toEqual({ result: 'restart', reason: 'spool, service changed' });
  expect(steps).toEqual(['load 1']);
});

test('a file with mistakes is refused with all of them, and nothing of it is loaded', async () => {
  const { reload, steps, rewrite } = await createRig();
  await rewrite(`${plain}[service]\ndrain_timeout = "soon"\n[spol]`);
  const { result, reason } = await reload();
  expect(result).toBe('refused');
  expect(reason).toMatch(/has 2 mistakes:\n {2}spol: .*\n {2}service\.drain_timeout: /);
  expect(steps).toEqual([]);
});

test('what cannot be applied is refused, and the next file is compared with what runs', async () => {
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

test('who asks twice waits for the first to end', async () => {
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

test('a module that waits for ever is refused, and keeps no later file away', async () => {
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
  expect(await first).toMatchObject({ result: 'refused', reason: expect.stringContaining('not loaded after 30 s') });
  expect(await reload()).toMatchObject({ result: 'applied' });
});
