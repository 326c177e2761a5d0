import { once } from 'node:events';
import { expect, test } from 'vitest';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { createWire } from '../../src/sources/client/wire.ts';
import { accountOf } from '../support/client-source.ts';
import { startSlowListener } from '../support/slow-listener.ts';

const { tls } = accountOf({});

test('a server with IPv4 and IPv6 whose handshake takes longer than 250 ms is reached', async () => {
  await using server = await startSlowListener();
  const resolve: Resolve = (_name, _options, found) => {
    found(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 }, // nothing listens there
    ]);
  };
  const service = { host: 'chat.example', port: server.port };
  const wire = createWire({ service, encryption: 'plain', tls, domain: 'localhost', resolve });
  const connected = once(wire, 'connect');
  wire.connect();
  setTimeout(server.accept, 600); // the handshake's own delay
  await connected;
  expect(wire.secure).toBe(false);
  wire.destroy();
});

test('a connection that is given up while it is dialled makes no other', async () => {
  await using server = await startSlowListener();
  const wire = createWire({ service: { host: '127.0.0.1', port: server.port }, encryption: 'plain', tls, domain: 'localhost' });
  const told: string[] = [];
  for (const event of ['connect', 'error']) wire.on(event, () => told.push(event));
  wire.connect();
  wire.destroy();
  server.accept();
  await new Promise(setImmediate);
  expect(told).toEqual([]);
});
