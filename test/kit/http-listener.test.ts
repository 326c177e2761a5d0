import { once } from 'node:events';
import { connect, type Server, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { type ConnectionRefusal, createHttpServer, type HttpServerOptions } from '../../src/kit/http-listener.ts';
import { sendText } from '../../src/kit/http-message.ts';
import { eventually } from '../support/eventually.ts';
import { openHttpConnection } from '../support/http-connection.ts';

const limits = { maxConnections: 100, headersTimeoutMs: 30_000, requestTimeoutMs: 30_000, keepAliveMs: 30_000 };
const hello = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

interface Running extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  readonly refused: readonly (readonly [ConnectionRefusal, number])[];
  readonly faults: readonly string[];
}

async function startServer(given: Partial<HttpServerOptions> = {}): Promise<Running> {
  const refused: [ConnectionRefusal, number][] = [];
  const faults: string[] = [];
  const server = createHttpServer({
    limits,
    serve: (_, response) => sendText(response, { status: 200, text: 'hello' }, { last: false }),
    onRefused: (reason, count) => refused.push([reason, count]),
    onFault: ({ message }) => faults.push(message),
    clock: systemClock,
    timers: systemTimers,
    ...given,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    server,
    refused,
    faults,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a full listener', () => {
  test('closes further connections, reports their number, and serves the open ones', async () => {
    await using running = await startServer({ limits: { ...limits, maxConnections: 2 } });
    using first = await openHttpConnection(running.port);
    using second = await openHttpConnection(running.port);
    first.send(hello);
    second.send(hello);
    expect([(await first.answer())?.status, (await second.answer())?.status]).toEqual([200, 200]);
    using third = await openHttpConnection(running.port);
    await eventually(() => third.closed);
    await eventually(() => running.refused.length === 1);
    expect(running.refused).toEqual([['max-connections', 1]]);

    first.send(hello);
    expect((await first.answer())?.status).toBe(200);
    second[Symbol.dispose]();
    await eventually(async () => {
      using fourth = await openHttpConnection(running.port);
      fourth.send(hello);
      return (await fourth.answer())?.status === 200;
    });
  });

  test('accepts connections again after silent ones have timed out', async () => {
    await using running = await startServer({ limits: { ...limits, maxConnections: 2, headersTimeoutMs: 50, requestTimeoutMs: 50 } });
    const idle = await Promise.all([1, 2].map(() => openHttpConnection(running.port)));
    await eventually(() => idle.every(({ closed }) => closed));
    using client = await openHttpConnection(running.port);
    client.send(hello);
    expect((await client.answer())?.status).toBe(200);
  });
});

test.each([
  ['EMFILE', 'open-files'],
  ['ENFILE', 'open-files'],
  ['ENOBUFS', 'accept-failed'],
] as const)('a failed accept with %s counts as a local refusal and does not stop the listener', async (code, reason) => {
  await using running = await startServer();
  running.server.emit('error', Object.assign(new Error(`accept ${code}`), { code, syscall: 'accept' }));
  await eventually(() => running.refused.length === 1);
  expect(running.refused).toEqual([[reason, 1]]);
  using client = await openHttpConnection(running.port);
  client.send(hello);
  expect((await client.answer())?.status).toBe(200);
});

test('answers 500 after a fault, reports it, and serves the next request', async () => {
  let calls = 0;
  await using running = await startServer({
    serve: async (_, response) => {
      calls += 1;
      if (calls === 1) throw new Error('our mistake');
      sendText(response, { status: 200, text: '' }, { last: false });
    },
  });
  for (const status of [500, 200]) {
    using client = await openHttpConnection(running.port);
    client.send(hello);
    expect((await client.answer())?.status).toBe(status);
  }
  expect(running.faults).toEqual(['our mistake']);
});

test('disconnects a client that pipelines too many requests', async () => {
  let served = 0;
  await using running = await startServer({
    serve: () => {
      served += 1; // never answers
    },
  });
  using client = await openHttpConnection(running.port);
  client.send(hello.repeat(1000));
  await eventually(() => client.closed);
  expect(served).toBe(20);
});

test('disconnects a client that does not read its response', async () => {
  await using running = await startServer({
    limits: { ...limits, unreadMs: 50 },
    serve: (_, response) => sendText(response, { status: 200, text: 'x'.repeat(50_000_000) }, { last: false }),
  });
  const accepted = once(running.server, 'connection');
  const client = connect(running.port, '127.0.0.1').pause();
  try {
    client.write(hello);
    const [socket]: Socket[] = await accepted;
    await eventually(() => socket?.destroyed);
  } finally {
    client.destroy();
  }
});
