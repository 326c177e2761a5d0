import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wrap } from '../../../demo/tap-server.ts';
import { LibraryParser } from '../../../src/sources/client/parser.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';
import { cutAt, cuts } from './mutations.ts';
import { maxStanzaBytes, walk } from './stanza-path.ts';
import { end, header, resumed } from './streams.ts';

const at = { host: 'chat.example', domain: 'pusher.chat.example' };

/** Contents of a user's message that a server should not forward, or that are too large. */
const contents: readonly (readonly [string, fc.Arbitrary<Buffer>])[] = [
  ['is nested too deeply', repeated('<a>', '</a>', 129, 900)],
  ['has an undeclared prefix', texts('<p:a/>', "<a p:b='1'/>", "<a xmlns:p=''/>", '<:a/>')],
  ['has an undefined entity', texts('&nonsense;', '&constructor;', '&#0;', '&#xD800;', '&', '&amp')],
  ['has characters that XML forbids', texts('\0', '\u0001', '\ufffe', "<a b='\u0008'/>", ']]>')],
  ['is not UTF-8', fc.constantFrom([0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]).map((bytes) => Buffer.from(bytes))],
  ['has an attribute twice', texts("<a b='1' b='2'/>", "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>")],
  ['has a tag that is broken', texts('<a b=c/>', '<a b/>', "<a b='<'/>", '<a></b>', '<a$/>')],
  ['has too much text', repeated("'", '', maxStanzaBytes, 3 * maxStanzaBytes)],
  ['has too much text once it is escaped', repeated('&apos;', '', maxStanzaBytes / 6, maxStanzaBytes)],
  ['has too many elements', repeated('<a/>', '', maxStanzaBytes / 4, maxStanzaBytes)],
  ['has a tag that is too long', fc.nat(9000).map((more) => Buffer.from(`<a b='${'>'.repeat(maxStanzaBytes + more)}'/>`))],
  ['has too many namespaces', fc.integer({ min: 900, max: 3000 }).map((many) => Buffer.from(`<a${numbered(many, "xmlns:a#='u'")}/>`))],
  ['has too many attributes', fc.integer({ min: 1400, max: 5000 }).map((many) => Buffer.from(`<a${numbered(many, "a#='1'")}/>`))],
  ['has too much in a CDATA section', fc.nat(9000).map((more) => Buffer.from(`<![CDATA[${'<'.repeat(maxStanzaBytes + more)}]]>`))],
  ['has a comment that is broken', texts('<!-- -- -->', '<!-- --->')],
];

describe('a tap continues in order after an item that', () => {
  test.each(contents)(
    '%s',
    (_what, content) => {
      fc.assert(
        fc.property(fc.array(fc.option(content), { minLength: 1, maxLength: 6 }), cuts, (items, parts) => {
          const bytes = streamOf(items);
          const { packets, numbers, told } = walk({ ...at, feed: 'tap' }, cutAt(bytes, parts));
          expect(told.at(-1)).toBe('closed');
          expect(numbers).toEqual(items.map((_, index) => index + 1));
          expect(packets.map(({ stanza }) => stanza.text('body'))).toEqual(
            items.flatMap((item, index) => (item === null ? [`${index}`] : [])),
          );
        }),
        effort(40),
      );
    },
    fuzzTimeoutMs,
  );
});

describe('an account continues after a message that', () => {
  test.each(contents)(
    '%s',
    (_what, content) => {
      fc.assert(
        fc.property(fc.array(fc.option(content), { minLength: 1, maxLength: 6 }), cuts, (items, parts) => {
          const told: string[] = [];
          const reader = new LibraryParser(maxStanzaBytes, {
            onStanza: (stanza) => told.push(stanza.text('body')),
            onUnreadable: ({ head }) => told.push(`unreadable from ${head?.attrs['from']}`),
            onNonza: ({ name }) => told.push(name),
            onBroken: ({ message }) => told.push(message),
          });
          let counted = 0;
          reader.on('element', () => {
            counted += 1;
          });
          for (const part of cutAt(clientStreamOf(items), parts)) reader.write(part);
          expect(told).toEqual(items.map((item, index) => (item === null ? `${index}` : 'unreadable from alice@chat.example/x')));
          expect(counted).toBe(items.length);
        }),
        effort(40),
      );
    },
    fuzzTimeoutMs,
  );
});

function clientStreamOf(items: readonly (Buffer | null)[]): Buffer {
  const stanzas = items.flatMap((content, index) => [
    Buffer.from(`<message from='alice@${at.host}/x' to='bob@${at.host}'><body>${index}</body>`),
    content ?? Buffer.alloc(0),
    Buffer.from('</message>'),
  ]);
  const opening = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='s'>";
  return Buffer.concat([Buffer.from(opening), ...stanzas]);
}

/** A tap stream of readable messages, whose text is their index, and of unreadable items in the tap's wrapper. */
function streamOf(items: readonly (Buffer | null)[]): Buffer {
  const wrapped = items.flatMap((content, index) => {
    const stanza = `<message xmlns='jabber:client' from='alice@${at.host}/x' to='bob@${at.host}'><body>${index}</body>{}</message>`;
    const [before = '', after = ''] = wrap(stanza, { dir: 'in' }, { ...at, epoch: 'e1', seq: index + 1 }).split('{}');
    return [Buffer.from(before), content ?? Buffer.alloc(0), Buffer.from(after)];
  });
  return Buffer.concat([Buffer.from(header + resumed(at)), ...wrapped, Buffer.from(end)]);
}

function texts(...all: readonly string[]): fc.Arbitrary<Buffer> {
  return fc.constantFrom(...all).map((text) => Buffer.from(text));
}

function repeated(before: string, after: string, min: number, max: number): fc.Arbitrary<Buffer> {
  return fc.integer({ min: Math.ceil(min), max }).map((times) => Buffer.from(before.repeat(times) + after.repeat(times)));
}

function numbered(many: number, attribute: string): string {
  return Array.from({ length: many }, (_, index) => ` ${attribute.replace('#', String(index))}`).join('');
}
