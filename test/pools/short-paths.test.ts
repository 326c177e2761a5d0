import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { withDirectReads, withJoinedWrites } from '../../pools/short-paths.ts';
import { eventually } from '../support/eventually.ts';

/** Two ends of a connection. */
interface Pair extends AsyncDisposable {
  readonly near: Socket;
  readonly far: Socket;
  /** Everything that the far end has received, as Latin-1. */
  received(): string;
}

async function connectPair(): Promise<Pair> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay(true);
  const [far]: Socket[] = await once(server, 'connection');
  if (far === undefined) throw new Error('no connection');
  let received = '';
  far.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  return {
    ...{ near, far },
    received: () => received,
    [Symbol.asyncDispose]: async () => {
      near.destroy();
      far.destroy();
      server.close();
    },
  };
}

test.each([
  ['a short body', Buffer.from('body')],
  ['a body that is not copied', Buffer.alloc(100_000, 'b')],
  ['an empty body', Buffer.alloc(0)],
])('sends the head and %s in their order', async (_name, body) => {
  await using pair = await connectPair();
  const socket = withJoinedWrites(pair.near);
  for (const head of ['first é\r\n\r\n', 'second\r\n\r\n']) {
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body);
    socket.uncork();
  }
  const sent = `first é\r\n\r\n${body.toString('latin1')}second\r\n\r\n${body.toString('latin1')}`;
  await eventually(() => pair.received().length >= sent.length);
  expect(pair.received()).toBe(sent);
});

test('makes one write of a head and a short body', async () => {
  await using pair = await connectPair();
  const socket = pair.near;
  const written: unknown[] = [];
  const write = socket.write.bind(socket);
  socket.write = (chunk: string | Uint8Array) => {
    written.push(chunk);
    return write(chunk);
  };
  withJoinedWrites(socket);
  socket.cork();
  socket.write('head ', 'latin1');
  expect(written).toEqual([]);
  socket.write(Buffer.from('body'));
  socket.uncork();
  expect(written.map(String)).toEqual(['head body']);
});

test('sends a head without a body, and writes outside of a request, in their order and with their callbacks', async () => {
  await using pair = await connectPair();
  const socket = withJoinedWrites(pair.near);
  socket.cork();
  socket.write('head ', 'latin1');
  socket.uncork();
  socket.cork();
  socket.write('another head ', 'latin1');
  await new Promise((resolve) => {
    socket.write('a text ', 'utf8', resolve);
    socket.uncork();
  });
  await new Promise((resolve) => socket.write(Buffer.from('bytes '), resolve));
  socket.end('end');
  await once(pair.far, 'end');
  expect(pair.received()).toBe('head another head a text bytes end');
});

test('gives received bytes to the reader before they enter the stream', async () => {
  await using pair = await connectPair();
  const socket = withDirectReads(pair.near);
  const read: string[] = [];
  let ended = false;
  socket.on('readable', () => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) read.push(`${socket.readableLength} ${chunk}`);
  });
  socket.on('end', () => {
    ended = true;
  });
  for (const text of ['one', 'two']) {
    pair.far.write(text);
    await eventually(() => read.at(-1)?.endsWith(text) === true);
  }
  pair.far.end('three');
  await eventually(() => ended);
  expect(read).toEqual(['0 one', '0 two', '0 three']);
});

test('keeps bytes that have no reader yet, and bytes that the reader left', async () => {
  await using pair = await connectPair();
  const socket = withDirectReads(pair.near);
  pair.far.write('early ');
  await eventually(() => socket.readableLength === 6);

  let isReading = false;
  let read = '';
  socket.on('readable', () => {
    if (isReading) read += socket.read() ?? '';
  });
  pair.far.write('left ');
  await eventually(() => socket.readableLength === 11);
  isReading = true;
  pair.far.write('late');
  await eventually(() => read.length === 15);
  expect(read).toBe('early left late');
});
