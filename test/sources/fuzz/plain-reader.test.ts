import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Stanza } from '../../../src/model/packet.ts';
import { createSaxesParser, parseStreamHeader } from '../../../src/packet/xml/parse.ts';
import { PlainReader } from '../../../src/packet/xml/plain-reader.ts';
import { readStream } from '../../packet/xml/read-stream.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';
import { mutations } from './mutations.ts';
import { recordedStreams } from './streams.ts';

const { namespaces } = parseStreamHeader(
  "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'>",
);
/** Used for all cases: no case may affect the next one. */
const plain = new PlainReader(namespaces[''] ?? '');
const readWithSaxes = createSaxesParser({ namespaces });

const recorded = recordedStreams().flatMap(({ bytes }) => readStream([bytes]).frames);

describe('a stanza of a recorded stream', () => {
  test('is read by the plain reader itself, except elements with a prefix and numeric references', () => {
    const left = recorded.filter((bytes) => plain.read(bytes) === undefined).map(String);
    expect(left.filter((xml) => !/^<stream:|&#/.test(xml))).toEqual([]);
  });

  test('is left to saxes if it is truncated at any byte', () => {
    for (const bytes of recorded)
      for (let end = 0; end < bytes.length; end += 1) expect(plain.read(bytes.subarray(0, end))).toBeUndefined();
  });
});

test(
  'a mutated stanza is read as saxes reads it, or left to saxes',
  () =>
    fc.assert(
      fc.property(fc.constantFrom(...recorded), mutations, (bytes, change) => agrees(change(bytes))),
      effort(4000),
    ),
  fuzzTimeoutMs,
);

/** Parts of which most sequences are nearly well-formed. */
const parts = [
  ...[
    '<a>',
    '</a>',
    '<b>',
    '</b>',
    '<b></a>',
    '<a',
    '<b/>',
    '<b',
    '>',
    '/>',
    '/',
    '</a >',
    '<a:b/>',
    '<x xmlns="urn:x"/>',
    '<_/>',
    '<-/>',
    '<xml:lang/>',
  ],
  ...[" b='1'", ' b="2"', " c='\"'", ' c="\'"', " xml:lang='en'", " xmlns='urn:y'", " xmlns=''", " xmlns:z='urn:z'", " z:d='1'", "e='1'"],
  ...[" f = '1'", " g='<'", " g='>'", " h='&lt;&#10;'", " h='\t'", " h='\n'", " i='é'", " __proto__='1'", " constructor='1'", "\n j='1'\t"],
  ...[" xmlns='http://www.w3.org/2000/xmlns/'", " xmlns='http://www.w3.org/XML/1998/namespace'", " xmlns='u&amp;v'", " xmlns=' u '"],
  ...[
    'text',
    ' ',
    '\n',
    '\r',
    '\t',
    ']',
    ']]',
    ']]>',
    '>',
    '"',
    "'",
    '&',
    '&amp;',
    '&apos;',
    '&quot;',
    '&gt;',
    '&lt;',
    '&#65;',
    '&foo;',
    '&lt',
  ],
  ...[
    'é',
    '日本',
    '😀',
    '\u0080',
    '\u00a0',
    '\u2028',
    '\ufeff',
    '\ufffd',
    '\ufffe',
    '\uffff',
    '\u{1ffff}',
    '\u007f',
    '\u0001',
    '\0',
    '<é/>',
  ],
  ...['<!-- c -->', '<![CDATA[x]]>', '<?p q?>'],
];
const sequence = fc.array(fc.constantFrom(...parts), { maxLength: 12 });

test(
  'any sequence of tags, attributes and characters is read as saxes reads it, or left to saxes',
  () =>
    fc.assert(
      fc.property(sequence, fc.boolean(), (sequenceOfParts, isEnclosed) => {
        const xml = sequenceOfParts.join('');
        agrees(Buffer.from(isEnclosed ? `<a>${xml}</a>` : xml));
      }),
      effort(6000),
    ),
  fuzzTimeoutMs,
);

test.each([
  ['depth', 127, 130, (depth: number) => '<a>'.repeat(depth) + '</a>'.repeat(depth)],
  ['number of attributes', 30, 36, (count: number) => `<a${Array.from({ length: count }, (_, index) => ` b${index}=''`).join('')}/>`],
  ['length of names', 60, 70, (length: number) => `<${'n'.repeat(length)} ${'m'.repeat(length)}='' xmlns='${'u'.repeat(length)}'/>`],
  ['number of children', 0, 5, (count: number) => `<a>${'<b/>c'.repeat(count)}</a>`],
])('the result does not depend on the %s', (_what, from, to, make) => {
  for (let size = from; size <= to; size += 1) agrees(Buffer.from(make(size)));
});

/** Fails if the plain reader accepts bytes that saxes refuses, or gives another tree. */
function agrees(bytes: Buffer): void {
  const read = plain.read(bytes);
  if (read !== undefined) expect(essence(read)).toBe(essence(readWithSaxes(bytes)));
}

/** The public properties of a stanza. */
function essence(stanza: Stanza): string {
  return JSON.stringify(treeOf(stanza)) + stanza.xml;
}

function treeOf({ name, ns, attrs, children }: Stanza): unknown {
  return [name, ns, Object.entries(attrs), children.map((child) => (typeof child === 'string' ? child : treeOf(child)))];
}
