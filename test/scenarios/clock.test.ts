/** Sets the wall clock of the built service days ahead and back; its monotonic clock continues. A scripted chat server. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedBackend } from '../support/scripted-backend.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';

const hour = 3_600_000;

/** A wall clock for one process that can be set while it runs (libfaketime). */
async function createSettableClock() {
  const folder = await mkdtemp(join(tmpdir(), 'clock-'));
  const file = join(folder, 'offset');
  const set = (offset: string) => writeFile(file, offset);
  await set('+0');
  const library = execFileSync('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' }).trim();
  return {
    set,
    env: { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

async function startRig(env: NodeJS.ProcessEnv) {
  let healthy = false;
  const backend = await startScriptedBackend({ script: () => ({ kind: 'answer', status: healthy ? 200 : 503 }) });
  const chat = await startScriptedChat();
  const rig = await startPushRig(chat.server.port, {
    backend,
    env,
    // Twenty refusals would open the circuit breaker, which is not the subject of this test.
    pool: `retry = { schedule = ["300ms", "1s", "1s"${', "2s"'.repeat(30)}] }\ncircuit_breaker = false`,
  });
  let said = 0;
  return {
    ...rig,
    backend,
    heal: () => {
      healthy = true;
    },
    /** Sends ten messages of ten users; resolves after the first attempt of each. */
    sayTen: async () => {
      for (let more = 0; more < 10; more += 1) chat.say(String(said + more), `user${more}`);
      said += 10;
      await eventually(() => expect(new Set(backend.sightings.map(({ id }) => id)).size).toBe(said));
    },
    accepted: () => new Set(backend.sightings.filter(({ status }) => status === 200).map(({ id }) => id)).size,
    /** Offset of the clock of the service, from its last request, ms. */
    ahead: () => Number(backend.requests.at(-1)?.header('webhook-timestamp')) * 1000 - systemClock.now(),
    dead: () => rig.metric('event_pusher_spool_depth{pool="http_pool",state="dead"}'),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await chat[Symbol.asyncDispose]();
    },
  };
}

describe.skipIf(!(await requirePackage('faketime')))('a clock that is set two days ahead, and back (needs faketime)', () => {
  test('loses no delivery: neither the waiting ones nor later ones', async () => {
    await using clock = await createSettableClock();
    await using rig = await startRig(clock.env);
    await rig.sayTen();

    await clock.set('+2d');
    await eventually(() => expect(rig.ahead()).toBeGreaterThan(47 * hour));
    rig.heal();
    await eventually(() => expect(rig.accepted()).toBe(10));
    await rig.sayTen();
    await eventually(() => expect(rig.accepted()).toBe(20));

    await clock.set('+0');
    await rig.sayTen();
    await rig.settled(30);
    expect(rig.ahead()).toBeLessThan(hour);
    expect(await rig.dead()).toBe(0);
    expect(await rig.pusher.stop()).toBe(0);
  });

  test('keeps retries scheduled while it was ahead, and sends them when they are due', async () => {
    await using clock = await createSettableClock();
    await using rig = await startRig(clock.env);
    await clock.set('+2d');
    await rig.sayTen();
    await clock.set('+0');
    await rig.pusher.kill();
    await rig.pusher.start();
    rig.heal();
    expect(await rig.dead()).toBe(0);

    await rig.pusher.stop();
    await clock.set('+2d');
    await rig.pusher.start();
    await eventually(() => expect(rig.accepted()).toBe(10));
    expect(await rig.dead()).toBe(0);
    expect(await rig.pusher.stop()).toBe(0);
  });
});
