/** Common behaviour of all HTTP listeners: exits, MongooseIM's posts, the gate, and the admin listener. */
import { describe, expect, test } from 'vitest';
import { startAdminRig } from './support/admin-rig.ts';
import { startExitsSource } from './support/exits-source.ts';
import { startGate } from './support/gate.ts';
import { openHttpConnection } from './support/http-connection.ts';
import { startHttpSource } from './support/http-source.ts';

interface Front extends AsyncDisposable {
  readonly port: number;
}

/** An accepted request, and headers with which it is refused before its body is read. */
interface Listener {
  readonly name: string;
  start(maxConnections?: number): Promise<Front>;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly taken: number;
  readonly refused: { readonly status: number; readonly headers: readonly string[] };
  readonly tooLarge: number;
}

const form = 'Content-Type: application/x-www-form-urlencoded';
const hello = 'author=alice&server=localhost&receiver=bob&message=Hi';
const stanza = "<message xmlns='jabber:client' to='bob@localhost'><body>Hi</body></message>";

const listeners: readonly Listener[] = [
  {
    name: 'exits',
    start: async () => {
      const front = await startExitsSource();
      return { port: front.ports()[0] ?? 0, [Symbol.asyncDispose]: () => front[Symbol.asyncDispose]() };
    },
    method: 'POST',
    path: '/push',
    headers: [form],
    body: hello,
    taken: 202,
    refused: { status: 403, headers: ['Origin: https://evil.example', form] },
    tooLarge: 2_000_000,
  },
  {
    name: 'posts',
    start: () => startHttpSource(),
    method: 'POST',
    path: '/',
    headers: [form],
    body: hello,
    taken: 200,
    refused: { status: 403, headers: ['Origin: https://evil.example', form] },
    tooLarge: 2_000_000,
  },
  {
    name: 'the gate',
    start: () => startGate({ token: 's3same' }),
    method: 'POST',
    path: '/gate',
    headers: ['Authorization: Bearer s3same', 'Content-Type: application/xml', 'Event-Pusher-Host: localhost'],
    body: stanza,
    taken: 204,
    refused: { status: 401, headers: ['Content-Type: application/xml', 'Event-Pusher-Host: localhost'] },
    tooLarge: 2_000_000,
  },
  {
    name: 'the admin listener',
    start: async () => {
      const { port } = await startAdminRig(); // it stops with the test
      return { port, [Symbol.asyncDispose]: async () => undefined };
    },
    method: 'POST',
    path: '/api/v1/dead-letters/purge',
    headers: ['Content-Type: application/json'],
    body: '{"ids":["none"],"dryRun":true}',
    taken: 200,
    refused: { status: 421, headers: ['Content-Type: application/json'] },
    tooLarge: 2_000_000,
  },
];

interface Shape {
  readonly target?: string;
  readonly hosts?: readonly string[];
  readonly headers?: readonly string[];
  readonly body?: string;
}

function head({ method, path, headers, body }: Listener, shape: Shape = {}): string {
  const { target = path, hosts = ['127.0.0.1'], headers: own = headers, body: sent = body } = shape;
  const lines = [...hosts.map((host) => `Host: ${host}`), ...own, `Content-Length: ${Buffer.byteLength(sent)}`];
  return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

async function ask(port: number, bytes: string) {
  using client = await openHttpConnection(port);
  client.send(bytes);
  return await client.answer();
}

describe.each(listeners)('$name', (listener) => {
  const { body, path, taken } = listener;

  test('accepts a target in absolute form, whose host overrides the header', async () => {
    await using front = await listener.start();
    for (const target of [path, `http://127.0.0.1:1${path}`, `HTTP://localhost${path}`]) {
      expect((await ask(front.port, head(listener, { target }) + body))?.status, target).toBe(taken);
    }
    for (const target of [`http://${path}`, `http://:80${path}`, `http://user@localhost${path}`]) {
      expect((await ask(front.port, head(listener, { target }) + body))?.status, target).toBe(400);
    }
  });

  test('refuses two Host headers, none, and an invalid one', async () => {
    await using front = await listener.start();
    for (const hosts of [['127.0.0.1', '127.0.0.1'], ['127.0.0.1', 'evil.example'], [], ['a b'], ['evil.example/'], ['x@y'], ['[::1']]) {
      const answer = await ask(front.port, head(listener, { hosts }) + body);
      expect([answer?.status, answer?.headers.get('connection')], String(hosts)).toEqual([400, 'close']);
    }
  });

  test('sends 100 Continue only if it reads the body', async () => {
    await using front = await listener.start();
    const expecting = (headers: readonly string[]) => ['Expect: 100-continue', ...headers];
    using client = await openHttpConnection(front.port);
    client.send(head(listener, { headers: expecting(listener.headers) }));
    expect((await client.answer())?.status).toBe(100);
    client.send(body);
    expect((await client.answer())?.status).toBe(taken);

    const { status, headers } = listener.refused;
    const hosts = status === 421 ? ['evil.example'] : ['127.0.0.1'];
    const refused = await ask(front.port, head(listener, { headers: expecting(headers), hosts }));
    expect([refused?.status, refused?.headers.get('connection')]).toEqual([status, 'close']);
    const tooLarge = await ask(front.port, head(listener, { headers: expecting(listener.headers), body: 'x'.repeat(listener.tooLarge) }));
    expect([tooLarge?.status, tooLarge?.headers.get('connection')]).toEqual([413, 'close']);
  });

  test('continues with a body that was sent without waiting for 100 Continue', async () => {
    await using front = await listener.start();
    using client = await openHttpConnection(front.port);
    client.send(head(listener, { headers: ['Expect: 100-continue', ...listener.headers] }) + body + head(listener) + body);
    const statuses = [];
    while (statuses.filter((status) => status !== 100).length < 2) statuses.push((await client.answer())?.status);
    expect(statuses.filter((status) => status !== 100)).toEqual([taken, taken]);
  });
});
