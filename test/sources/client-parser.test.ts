import { expect, test } from 'vitest';
import { LibraryParser } from '../../src/sources/client/parser.ts';
import { eventually } from '../support/eventually.ts';

const header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='s'>";

test('the rest of a read waits until the library has handled an element of the stream', async () => {
  const { told, parser } = read();
  parser.write(
    Buffer.from(`${header}<enabled xmlns='urn:xmpp:sm:3'/><message><body>one</body></message><r xmlns='urn:xmpp:sm:3'/><message/>`),
  );
  expect(told).toEqual(['nonza enabled']);
  await eventually(() => expect(told).toEqual(['nonza enabled', 'stanza message', 'nonza r', 'stanza message']));
});

test('reports the complete stanzas first, and then once that the stream is broken', () => {
  const { told, parser } = read();
  parser.write(Buffer.from(`${header}<message/>text`));
  parser.write(Buffer.from('<message/>'));
  expect(told).toEqual(['stanza message', 'broken']);
});

function read() {
  const told: string[] = [];
  const parser = new LibraryParser(10_000, {
    onStanza: ({ name }) => void told.push(`stanza ${name}`),
    onUnreadable: () => void told.push('unreadable'),
    onNonza: ({ name }) => void told.push(`nonza ${name}`),
    onBroken: () => void told.push('broken'),
  });
  return { told, parser };
}
