import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type LookupFunction, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { dialTcp, isLocalShortage, type Resolve } from '../../src/kit/dial-tcp.ts';
import { startSlowListener } from '../support/slow-listener.ts';
import { freePort } from '../support/target.ts';

/** Resolves every name to these addresses. */
function resolvesTo(...addresses: readonly string[]): Resolve {
  return (_name, _options, found) =>
    found(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
}

const byNode =
  (resolve: Resolve): LookupFunction =>
  (name, options, found) =>
    resolve(name, { ...options, all: true }, found);

function dialled(port: number, resolve: Resolve, host = 'chat.example'): Promise<Socket> {
  return new Promise((done, failed) => {
    dialTcp({ host, port, resolve }, (error, socket) => (error === undefined ? done(socket) : failed(error)));
  });
}

async function listen(host: string, port = 0): Promise<Server & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket))));
  server.listen(port, host);
  await once(server, 'listening');
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

describe('a host with IPv4 and IPv6', () => {
  test.each(['::1', '127.0.0.2'])('is reached by a handshake slower than the limit of Node, while %s refuses', async (other) => {
    await using slow = await startSlowListener();
    const resolve = resolvesTo('127.0.0.1', other);
    const dialling = dialled(slow.port, resolve);
    const [given] = await once(connect({ host: 'chat.example', port: slow.port, lookup: byNode(resolve) }), 'error');
    expect(given).toMatchObject({ code: 'ETIMEDOUT' });
    slow.accept();

    const socket = await dialling;
    expect([socket.remoteAddress, socket.listenerCount('error')]).toEqual(['127.0.0.1', 0]);
    socket.destroy();
  });

  test('is reached over the second family while the first does not answer', async () => {
    await using dead = await startSlowListener('127.0.0.1');
    await using alive = await listen('::1', dead.port);
    const socket = await dialled(portOf(alive), resolvesTo('127.0.0.1', '::1'));
    expect(socket.remoteAddress).toBe('::1');
    socket.destroy();
  });

  test('is reached over the second family at once if the first refuses', async () => {
    await using alive = await listen('::1');
    const socket = await dialled(portOf(alive), resolvesTo('127.0.0.1', '127.0.0.2', '::1'));
    expect(socket.remoteAddress).toBe('::1');
    socket.destroy();
  });

  test('is dialled over both families in alternation', async () => {
    const port = await freePort();
    const failed = dialled(port, resolvesTo('127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'));
    await expect(failed).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: ['127.0.0.1', '::1', '127.0.0.2', '127.0.0.3'].map((address) => `connect ECONNREFUSED ${address}:${port}`).join('; '),
    });
  });
});

test('dials an address without a lookup', async () => {
  await using server = await listen('127.0.0.1');
  const never: Resolve = () => expect.unreachable();
  const socket = await dialled(portOf(server), never, '127.0.0.1');
  expect(socket.remoteAddress).toBe('127.0.0.1');
  socket.destroy();
});

test.each<readonly [string, Resolve, string]>([
  ['is not found', (_name, _options, found) => found(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []), 'ENOTFOUND'],
  ['has no address', resolvesTo(), 'ENOTFOUND'],
  ['resolves to a name', resolvesTo('localhost'), 'ENOTFOUND'],
])('reports an error for a name that %s, after dialTcp has returned', async (_what, resolve, code) => {
  let begun = false;
  const failed = new Promise((done) => {
    dialTcp({ host: 'chat.example', port: 1, resolve }, (error, _socket) => done([begun, error]));
  });
  begun = true;
  expect(await failed).toEqual([true, expect.objectContaining({ code })]);
});

test('reports nothing after cancel and leaves no connection open', async () => {
  await using server = await listen('127.0.0.1');
  let calls = 0;
  const dialling = dialTcp({ host: 'chat.example', port: portOf(server), resolve: resolvesTo('127.0.0.1') }, () => {
    calls += 1;
  });
  await new Promise(setImmediate);
  dialling.cancel();
  const socket = await dialled(portOf(server), resolvesTo('127.0.0.1'));
  expect(calls).toBe(0);
  socket.destroy();
});

describe('a local shortage', () => {
  test('is a lack of descriptors in the process or of ports in the machine', () => {
    const failed = (code: string, address = '127.0.0.1') => Object.assign(new Error(`connect ${code}`), { code, address });
    for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])
      expect([code, isLocalShortage(failed(code))]).toEqual([code, true]);
    for (const code of ['ECONNREFUSED', 'ENETUNREACH', 'ENOTFOUND']) expect([code, isLocalShortage(failed(code))]).toEqual([code, false]);
  });

  test.skipIf(process.getuid?.() !== 0)('occurs if all local ports of a network are in use, but not for lack of IPv6', async () => {
    const url = new URL('../../src/kit/dial-tcp.ts', import.meta.url).href;
    const script = `
      import { createServer } from 'node:net';
      import { dialTcp, isLocalShortage } from ${JSON.stringify(url)};
      const server = createServer().listen(9000, '127.0.0.1', async () => {
        const dial = (host, port) => new Promise((done) => dialTcp({ host, port }, (error, socket) => done(error ?? socket)));
        const results = [await dial('127.0.0.1', 9000), await dial('127.0.0.1', 9000), await dial('::1', 9000)];
        console.log(JSON.stringify(results.map((each) => each instanceof Error ? [each.code, isLocalShortage(each)] : 'connected')));
        process.exit();
      });`;
    const network =
      'ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && echo "40000 40000" > /proc/sys/net/ipv4/ip_local_port_range';
    const run = `${network} && exec "$0" --import tsx --input-type=module -e "$1"`;
    const { stdout } = await promisify(execFile)('unshare', ['-n', 'sh', '-c', run, process.execPath, script]);
    expect(JSON.parse(stdout)).toEqual(['connected', ['EADDRNOTAVAIL', true], ['EADDRNOTAVAIL', false]]);
  });
});
