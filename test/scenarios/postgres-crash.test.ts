/**
 * The built service with its spool in PostgreSQL: both are killed with `kill -9`, and PostgreSQL is also stopped cleanly, while a scripted chat
 * server sends numbered messages. Every number reaches the backend, and each duplicate under the id of the first.
 */
import { expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { hasPostgres, startPostgres } from '../support/postgres.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { createSightings, renamed } from '../support/sightings.ts';
import { startTarget } from '../support/target.ts';

const total = 4000;
const conversations = 100;

test.skipIf(!(await hasPostgres()))('it loses nothing while the service and PostgreSQL are killed and restarted in turn', async () => {
  await using backend = await startTarget();
  await using postgres = await startPostgres();
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using pusher = await createPusher({
    loglevel: 'info',
    spool: `[spool]\nengine = "postgres"\nurl = "${postgres.url()}"`,
    config: plainConfig({ componentPort: server.port, backend: backend.origin }),
  });
  for (let number = 1; number <= total; number += 1) {
    const from = `user${number % conversations}@localhost/phone`;
    server.push(chat(`number ${number}`, { from, id: `m${number}` }), { dir: 'in', session: from });
  }
  const seen = createSightings(backend.requests);
  const reached = (part: number) => eventually(() => seen().size >= total * part);

  await pusher.start();
  await reached(0.1);
  await pusher.kill();
  pusher.launch();
  await reached(0.3);
  await postgres.kill();
  await pusher.logged('spool.writable', 1, ({ writable }) => writable === false);
  await postgres.start();
  await reached(0.5);
  await postgres.stop();
  await postgres.start();
  await reached(0.7);
  await Promise.all([pusher.kill(), postgres.kill()]);
  await postgres.start();
  pusher.launch();
  await reached(1);
  await eventually(() => server.acked === total);

  console.info(`${total} messages: ${backend.requests.length} requests`);
  expect(renamed(seen())).toEqual([]);
  expect(await pusher.stop()).toBe(0);
  expect(await postgres.query('SELECT count(*)::int AS left FROM event_pusher.deliveries')).toEqual([{ left: 0 }]);
  await server.close();
});
