import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseStanza, readHead } from '../../../src/packet/xml/parse.ts';
import { effort } from '../../sources/fuzz/effort.ts';

const context = { namespaces: { '': 'jabber:component:accept' } };
const tap = "<tap xmlns='urn:x-event-pusher:tap:1' seq='7' epoch='E'/>";
const opening = `<message from='localhost' to='pusher.localhost'>${tap}<forwarded xmlns='urn:xmpp:forward:0'><message><body>`;
const closing = '</body></message></forwarded></message>';

test.each([
  ['is incomplete', ''],
  ['is nested too deeply', `${'<a>'.repeat(500)}${'</a>'.repeat(500)}${closing}`],
  ['has an unknown entity', `&nonsense;${closing}`],
  ['has a forbidden character', `\u0001${closing}`],
  ['has an undeclared prefix', `<p:a/>${closing}`],
  ['has a closing tag of another element', '</head></message></forwarded></message>'],
  ['ends within a tag', '<a b='],
])('reads the beginning of a stanza that %s', (_what, rest) => {
  const head = readHead(Buffer.from(opening + rest), context);
  expect(head).toMatchObject({ name: 'message', ns: 'jabber:component:accept', attrs: { from: 'localhost', to: 'pusher.localhost' } });
  expect(head?.children).toMatchObject([
    { name: 'tap', ns: 'urn:x-event-pusher:tap:1', attrs: { seq: '7', epoch: 'E' }, children: [] },
    { name: 'forwarded', ns: 'urn:xmpp:forward:0', children: [] },
  ]);
});

test('reads the beginning of a stanza that is not UTF-8', () => {
  const head = readHead(Buffer.concat([Buffer.from(opening), Buffer.from([0xff, 0xc3]), Buffer.from(closing)]), context);
  expect(head?.children).toMatchObject([{ name: 'tap' }, { name: 'forwarded' }]);
});

test('does not include nested elements among the children', () => {
  const head = readHead(Buffer.from(`<message><a>${tap}</a><b`), context);
  expect(head?.children).toMatchObject([{ name: 'a', children: [] }]);
});

test.each(['', 'text', '<', '<message', "<message from='localhost'", '<!DOCTYPE a><a/>', "<p:message a='1'/>"])(
  'has no head if the first tag cannot be read: %s',
  (xml) => {
    expect(readHead(Buffer.from(xml), context)).toBeUndefined();
  },
);

test('reads the same beginning of a stanza for any truncation, and never throws', () => {
  const whole = Buffer.from(opening + closing);
  const tags = parseStanza(whole).children.length;
  fc.assert(
    fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 8 }), (at, garbage) => {
      const head = readHead(Buffer.concat([whole.subarray(0, at), garbage]), context);
      if (at >= opening.length) expect(head?.children).toHaveLength(tags);
      if (head !== undefined && at >= opening.indexOf('>')) expect(head.attrs['from']).toBe('localhost');
    }),
    effort(500),
  );
});
