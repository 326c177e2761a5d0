import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ServiceError } from '../../../src/kit/errors.ts';
import { cut, readStream } from './read-stream.ts';

const header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";
const end = '</stream:stream>';

type Spelling = 'cdata' | 'decimal' | 'entity' | 'hexadecimal' | 'raw';

/** A character, its encoded form, and the markup after it. */
interface Written {
  readonly character: string;
  readonly spelling: Spelling;
  readonly after: string;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

const character = fc
  .oneof(
    fc.constantFrom(...'<>&"\']/! \t\n\r', 'é', 'ß', '\u2028', '\ufeff', '😀', '𝄞', '\u{10fffd}'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  )
  .filter((one) => !/[\ufffe\uffff\x7f-\x9f]|(?![\t\n\r])\p{Cc}/u.test(one));

const written: fc.Arbitrary<Written> = fc.record({
  character,
  spelling: fc.constantFrom('cdata', 'decimal', 'entity', 'hexadecimal', 'raw'),
  after: fc.constantFrom('', '', '', '<!-- <x> - -> <y & -->', "<?x '> ? > <y ?>", '<![CDATA[]]>'),
});

function code(one: string): number {
  return one.codePointAt(0) ?? 0;
}

function reference({ character: one, spelling }: Written): string {
  return spelling === 'hexadecimal' ? `&#x${code(one).toString(16)};` : `&#${code(one)};`;
}

function inText(each: Written): string {
  const { character: one, spelling, after } = each;
  if (one === '\r' || spelling === 'decimal' || spelling === 'hexadecimal') return reference(each) + after;
  return (spelling === 'cdata' ? `<![CDATA[${one}]]>` : (entities[one] ?? one)) + after;
}

function inAttribute(each: Written): string {
  const { character: one, spelling } = each;
  const asIs = (spelling === 'raw' || spelling === 'entity') && !/[\t\n\r]/.test(one);
  return asIs ? (entities[one] ?? one) : reference(each);
}

/** Split positions, in thousandths of the length. */
const places = fc.uniqueArray(fc.nat(1000), { maxLength: 12 });

function cutAt(bytes: Buffer, thousandths: readonly number[]): Buffer[] {
  return cut(
    bytes,
    thousandths.map((part) => Math.floor((part * bytes.length) / 1000)).sort((a, b) => a - b),
  );
}

test('each character arrives as sent, for any encoding and any split of the stream', () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 40 }), places, (all, thousandths) => {
      const sent = all.map((each) => each.character).join('');
      const stanza = `<message to="${all.map(inAttribute).join('')}"><body>${all.map(inText).join('')}</body></message>`;
      const bytes = Buffer.from(header + stanza + stanza + end);
      const { stanzas, closed } = readStream(cutAt(bytes, thousandths));
      expect(stanzas.map((read) => [read.attrs['to'], read.text('body')])).toEqual([
        [sent, sent],
        [sent, sent],
      ]);
      expect(closed).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

const markup = [
  '<a>',
  '</a>',
  "<a b='",
  "'>",
  '<a',
  '>',
  '/>',
  '<!--',
  '-->',
  '<![CDATA[',
  ']]>',
  '<?',
  '?>',
  '&',
  '&#x',
  ';',
  end,
  '<!DOCTYPE',
];

/** Bytes that may be invalid UTF-8, and pieces of markup. */
const scrap = fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.constantFrom(...markup).map(bytesOf));
const content = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('', 'x', '😀', '&lt;', '<b/>', ' ').map(bytesOf) },
  { weight: 1, arbitrary: scrap },
);
const whole = content.map((inner) => Buffer.concat([bytesOf("<a b='1'>"), inner, bytesOf('</a>')]));

/** Mostly stanzas, with fragments in and between them. */
const garbage = fc
  .array(fc.oneof({ weight: 5, arbitrary: whole }, { weight: 1, arbitrary: scrap }), { maxLength: 6 })
  .map((pieces) => Buffer.concat(pieces));

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

const mostly = fc.nat(9).map((at) => at > 0);

test('any input is read or refused, with the same result for any split', () => {
  fc.assert(
    fc.property(garbage, mostly, places, (given, begun, thousandths) => {
      const bytes = begun ? Buffer.concat([Buffer.from(header), given]) : given;
      const met = outcome([bytes]);
      expect(outcome(cutAt(bytes, thousandths))).toEqual(met);
      expect(JSON.stringify(met)).not.toContain('\ufffd'); // not sent by a peer
    }),
    { numRuns: 3000 },
  );
});

/** The stanzas as XML. Which of two errors is found first depends on the reads; any error other than our own fails the test. */
function outcome(reads: readonly Buffer[]): unknown {
  try {
    const { stanzas, closed } = readStream(reads, Buffer.byteLength(header));
    return { closed, stanzas: stanzas.map((stanza) => stanza.xml) };
  } catch (thrown) {
    if (thrown instanceof ServiceError) return 'refused';
    throw thrown;
  }
}
