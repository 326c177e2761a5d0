/**
 * Kills the built service with `kill -9` while a scripted chat server sends numbered messages, and while a backlog is delivered, and
 * checks the requests at the backend: each number, and each duplicate under the id of the first.
 */
import { expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { makeDelivery, makeEntry } from '../spool/build.ts';
import { createSqliteRig } from '../spool/sqlite-rig.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { createSightings, outOfOrder, renamed } from '../support/sightings.ts';
import { appendTo } from '../support/spool-promises.ts';
import { startTarget } from '../support/target.ts';

const total = 20_000;
const kills = 5;
const conversations = 500;

test('killed five times, it still delivers each of 20 000 messages', { timeout: 180_000 }, async () => {
  await using backend = await startTarget();
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using pusher = await createPusher({
    loglevel: 'warn',
    config: plainConfig({ componentPort: server.port, backend: backend.origin }),
  });
  for (let number = 1; number <= total; number += 1) {
    const from = `user${number % conversations}@localhost/phone`;
    server.push(chat(`number ${number}`, { from, id: `m${number}` }), { dir: 'in', session: from });
  }

  for (let kill = 1; kill <= kills; kill += 1) {
    pusher.launch();
    const enough = Math.floor(((kill - 1 + Math.random()) * total) / (kills + 1)) + 1;
    await eventually(() => backend.requests.length >= enough);
    await pusher.kill();
  }
  pusher.launch();
  const seen = createSightings(backend.requests);
  await eventually(() => seen().size === total, { withinMs: 90_000 });
  await eventually(() => server.acked === total);

  const doubles = backend.requests.length - total;
  console.info(`${total} messages, ${kills} kills: ${backend.requests.length} requests, ${doubles} doubles`);
  expect(renamed(seen())).toEqual([]);
  await pusher.stop();
  await server.close();
});

test('killed while it drains a backlog, it delivers each waiting delivery, in the order of its conversation', async () => {
  await using backend = await startTarget();
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using rig = await createSqliteRig();
  const backlog = Array.from({ length: 5000 }, (_nothing, number) => waitingDelivery(number)); // more than fit in memory
  const spool = await rig.started();
  await appendTo(spool, makeEntry(backlog));
  await spool.stop();

  await using pusher = await createPusher({
    loglevel: 'warn',
    spool: `[spool]\npath = "${rig.path}"`,
    config: plainConfig({
      componentPort: server.port,
      backend: backend.origin,
      handlers: '[[modules.mod_event_pusher.backend.http]]\nname = "push"\npath = "/notifications"',
    }),
  });
  const seen = createSightings(backend.requests);
  for (const enough of [1, 2000]) {
    pusher.launch();
    await eventually(() => seen().size >= enough);
    await pusher.kill();
  }
  expect(seen().size).toBeLessThan(backlog.length);
  pusher.launch();
  await eventually(() => seen().size === backlog.length);

  expect(renamed(seen())).toEqual([]);
  expect(outOfOrder([...seen().keys()].map(Number), waitingConversations)).toEqual([]);
  await pusher.stop();
  await server.close();
});

const waitingConversations = 2000;

/** As a service before the start would have stored it. */
function waitingDelivery(number: number): NewDelivery {
  return makeDelivery({
    id: `d${number}`,
    pool: 'http_pool',
    lane: `push user${number % waitingConversations}@localhost bob@localhost`,
    target: { kind: 'http', method: 'POST', path: '/webservice/notifications', headers: [] },
    body: `message=${number}`,
    createdAt: Date.now(),
  });
}
