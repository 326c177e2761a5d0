import { once } from 'node:events';
import { expect, test } from 'vitest';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { ClientSocket } from '../../src/sources/client/socket.ts';
import { accountOf } from '../support/client-source.ts';
import { startSlowListener } from '../support/slow-listener.ts';

const { tls } = accountOf({});

test('a server with IPv4 and IPv6 whose handshake takes longer than 250 ms is reached', async () => {
  await using server = await startSlowListener();
  const resolve: Resolve = (_name, _options, found) => {
    found(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 }, // no listener
    ]);
  };
  const service = { host: 'chat.example', port: server.port };
  const socket = new ClientSocket({ service, encryption: 'plain', tls, domain: 'localhost', resolve });
  const connected = once(socket, 'connect');
  socket.connect();
  setTimeout(server.accept, 600); // the handshake's own delay
  await connected;
  expect(socket.secure).toBe(false);
  socket.destroy();
});

test('a socket that is destroyed while it dials opens no connection', async () => {
  await using server = await startSlowListener();
  const socket = new ClientSocket({ service: { host: '127.0.0.1', port: server.port }, encryption: 'plain', tls, domain: 'localhost' });
  const emitted: string[] = [];
  for (const event of ['connect', 'error']) socket.on(event, () => emitted.push(event));
  socket.connect();
  socket.destroy();
  server.accept();
  await new Promise(setImmediate);
  expect(emitted).toEqual([]);
});
