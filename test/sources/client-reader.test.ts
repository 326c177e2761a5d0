import { expect, test } from 'vitest';
import { createStreamReader } from '../../src/sources/client/reader.ts';
import { eventually } from '../support/eventually.ts';

const header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='s'>";

test('what follows an element of the stream in the same read waits until the library has acted on that', async () => {
  const { told, reader } = read();
  reader.write(
    Buffer.from(`${header}<enabled xmlns='urn:xmpp:sm:3'/><message><body>one</body></message><r xmlns='urn:xmpp:sm:3'/><message/>`),
  );
  expect(told).toEqual(['nonza enabled']);
  await eventually(() => expect(told).toEqual(['nonza enabled', 'stanza message', 'nonza r', 'stanza message']));
});

test('tells what came whole before it tells that the rest is broken, once', () => {
  const { told, reader } = read();
  reader.write(Buffer.from(`${header}<message/>text`));
  reader.write(Buffer.from('<message/>'));
  expect(told).toEqual(['stanza message', 'broken']);
});

function read() {
  const told: string[] = [];
  const reader = createStreamReader(10_000, {
    onStanza: ({ name }) => void told.push(`stanza ${name}`),
    onUnreadable: () => void told.push('unreadable'),
    onNonza: ({ name }) => void told.push(`nonza ${name}`),
    onBroken: () => void told.push('broken'),
  });
  return { told, reader };
}
