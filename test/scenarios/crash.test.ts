/**
 * Kills the built service with `kill -9` at random times while a scripted chat server sends numbered messages, and
 * checks the requests at the backend: each number, and each duplicate under the id of the first.
 */
import { expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { createSightings, renamed } from '../support/sightings.ts';
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
