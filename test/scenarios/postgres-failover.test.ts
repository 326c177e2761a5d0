/**
 * The built service with its spool in a primary that has a synchronous standby. While a scripted chat server sends numbered messages, the network to the
 * primary is cut, the primary is killed, and the standby is promoted. Every number reaches the backend, each duplicate under the id of the first.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { hasPostgres, startPostgres } from '../support/postgres.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { createSightings, renamed } from '../support/sightings.ts';
import { startTarget } from '../support/target.ts';

const total = 3000;
const conversations = 100;

/** An address that leads to one server or another, or to none. */
async function startSwitch(first: number) {
  let to: number | undefined = first;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to ?? 1, '127.0.0.1'); // nothing listens on port 1
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined); // cut, which is its purpose
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    lead: (port: number | undefined) => {
      to = port;
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test.skipIf(!(await hasPostgres()))('it loses nothing while a synchronous standby takes over from its primary', async () => {
  await using backend = await startTarget();
  await using primary = await startPostgres();
  await using standby = await startPostgres([], primary);
  await primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
  await primary.query('SELECT pg_reload_conf()');
  await eventually(async () => expect(await primary.query('SELECT sync_state FROM pg_stat_replication')).toEqual([{ sync_state: 'sync' }]));
  await using address = await startSwitch(primary.port);
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using pusher = await createPusher({
    loglevel: 'info',
    spool: `[spool]\nengine = "postgres"\nurl = "postgres://postgres@127.0.0.1:${address.port}/postgres"`,
    config: plainConfig({ componentPort: server.port, backend: backend.origin }),
  });
  for (let number = 1; number <= total; number += 1) {
    const from = `user${number % conversations}@localhost/phone`;
    server.push(chat(`number ${number}`, { from, id: `m${number}` }), { dir: 'in', session: from });
  }
  const seen = createSightings(backend.requests);
  const reached = (part: number) => eventually(() => seen().size >= total * part);

  await pusher.start();
  await reached(0.2);
  address.lead(undefined);
  await pusher.logged('spool.writable', 1, ({ writable }) => writable === false);
  address.lead(primary.port);
  await reached(0.5);
  await primary.kill();
  await standby.query('SELECT pg_promote()');
  address.lead(standby.port);
  await reached(1);
  await eventually(() => server.acked === total);

  console.info(`${total} messages: ${backend.requests.length} requests`);
  expect(renamed(seen())).toEqual([]);
  expect(await pusher.stop()).toBe(0);
  expect(await standby.query('SELECT count(*)::int AS left FROM event_pusher.deliveries')).toEqual([{ left: 0 }]);
  await server.close();
});
