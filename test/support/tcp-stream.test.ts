/** The stream of the tests' own XMPP clients. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { openTcpStream } from './tcp-stream.ts';

test('a stanza that cannot be read rejects the waits for stanzas, and those sent later still arrive', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const stream = await openTcpStream('alice', (server.address() as AddressInfo).port);
  const [socket]: Socket[] = await accepted;
  if (socket === undefined) throw new Error('no connection');
  const opened = stream.open("<stream:stream xmlns='jabber:client'>");
  socket.write("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>");
  await opened;

  socket.write("<message><x p:a='1'/></message>");
  await expect(stream.inbox.next()).rejects.toThrow('the prefix of the attribute p:a is not declared');
  stream.send('<message/>');
  socket.end('</stream:stream>');
  const received = text(socket);
  await stream.closed;
  server.close();

  expect(await received).toContain('<message/>');
});
