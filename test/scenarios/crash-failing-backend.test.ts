/**
 * Kills the built service repeatedly with `kill -9` while a scripted chat server sends numbered messages and the
 * backend fails at random; then the backend recovers. Each acknowledged message must have been accepted by the backend, or
 * be a dead letter.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeConfig } from '../spool/build.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { resetWithinBody, retryAfter, status } from '../support/misbehaviour.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { byLot, seededRandom, startScriptedBackend } from '../support/scripted-backend.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { createAccepted, createAnswered, outOfOrder } from '../support/sightings.ts';

const { createSqliteSpool } = await importBuilt<typeof import('../../src/spool/open.ts')>('src/spool/open.js');

const seed = 2026;
const total = Number(process.env['CRASH_MESSAGES'] ?? 6000);
const kills = Number(process.env['CRASH_KILLS'] ?? 8);
const conversations = 100;

/** One in five requests fails: too few to open the circuit breaker. */
const sick = byLot(seed, [
  [800, { kind: 'answer' }],
  [60, status(500)],
  [30, status(503)],
  [8, retryAfter('0.3')],
  [2, retryAfter('1')],
  [20, status(422)],
  [40, { kind: 'reset' }],
  [20, resetWithinBody],
  [20, { kind: 'silent' }],
]);

test('killed repeatedly with a failing backend, it loses none of the messages', { timeout: 180_000 + 20 * total }, async () => {
  const random = seededRandom(seed);
  await using backend = await startScriptedBackend({ script: sick });
  await using chat = await startScriptedChat();
  await using rig = await startPushRig(chat.server.port, {
    backend,
    started: false,
    loglevel: 'warn',
    pool: 'retry = { schedule = ["50ms", "200ms", "400ms", "800ms", "1s", "1s"] }',
    connection: 'request_timeout = 400',
    handlers: '[modules.mod_event_pusher.backend.http]\npath = "/notifications"\nhold = "forever"',
  });
  for (let number = 1; number <= total; number += 1) chat.say(String(number), `user${number % conversations}`);

  for (let kill = 1; kill <= kills; kill += 1) {
    rig.pusher.launch();
    const enough = backend.sightings.length + Math.floor((random() * total) / 12);
    await eventually(() => backend.sightings.length >= enough);
    await rig.pusher.kill();
  }
  const failed = backend.sightings.filter(({ status: given }) => given !== 200).length;
  const asked = backend.sightings.length;
  backend.heal();
  rig.pusher.launch();
  await eventually(() => chat.server.acked === total);
  await eventually(async () => expect(await rig.metric('event_pusher_spool_depth{pool="http_pool",state="waiting"}')).toBe(0), {
    withinMs: 60_000 + 10 * total,
  });
  expect(await rig.pusher.stop()).toBe(0);

  const accepted = createAccepted(backend)();
  const dead = await deadIn(join(rig.pusher.folder, 'spool.sqlite'));
  const doubles = accepted.length - new Set(accepted).size;
  console.info(
    `seed ${seed}: ${kills} kills, ${total} messages, ${backend.sightings.length} requests; of ${asked} to the failing backend ${failed} failed; ` +
      `${dead.length} dead letters, ${total - new Set([...accepted, ...dead]).size} lost, ${doubles} accepted twice (${((100 * doubles) / total).toFixed(2)} %)`,
  );
  const everyOne = Array.from({ length: total }, (_, index) => index + 1);
  expect([...new Set([...accepted, ...dead])].sort((one, other) => one - other)).toEqual(everyOne);
  // A refused message makes way for the next one at once. If a kill follows before its dead letter is on disk, it is repeated later.
  expect(outOfOrder(createAnswered(backend, [200, 422])(), conversations)).toEqual([]);
});

function numberOf({ body }: Pick<TargetRequest, 'body'>): number {
  return Number(new URLSearchParams(String(body)).get('message'));
}

/** The numbers among the dead letters of a closed spool. */
async function deadIn(path: string): Promise<number[]> {
  const spool = createSqliteSpool(makeConfig(path), {
    clock: systemClock,
    events: createEventBus(),
    timers: systemTimers,
    onFailed: (error) => {
      throw error;
    },
  });
  await spool.start();
  try {
    const letters = await spool.deadLetters({}, { limit: total });
    const details = await Promise.all(letters.map(({ id }) => spool.deadLetter(id)));
    return details.map((detail) => numberOf({ body: Buffer.from(detail?.body ?? '') }));
  } finally {
    await spool.stop();
  }
}
