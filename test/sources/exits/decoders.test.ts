import { expect, test } from 'vitest';
import { Decoders } from '../../../src/sources/http/exits/decoders.ts';

/** Bytes 0x80 to 0x9f of windows-1252 in the Encoding Standard; from 0xa0 on each stands for its own number. */
const controls = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const upperBytes = Array.from({ length: 128 }, (_, index) => 0x80 + index);

const labels = [
  'ansi_x3.4-1968',
  'ascii',
  'cp1252',
  'cp819',
  'csisolatin1',
  'ibm819',
  'iso-8859-1',
  'iso-ir-100',
  'iso8859-1',
  'iso88591',
  'iso_8859-1',
  'iso_8859-1:1987',
  'l1',
  'latin1',
  'us-ascii',
  'windows-1252',
  'x-cp1252',
];

test.each(labels)('%s is windows-1252 in all of its upper bytes', (label) => {
  const decode = new Decoders().of(label);
  const read = upperBytes.map((byte) => decode?.(Buffer.of(byte)));
  expect(read).toEqual([...controls, ...upperBytes.slice(32).map((byte) => String.fromCharCode(byte))]);
  expect(decode?.(Buffer.concat([Buffer.from('a'), Buffer.from(upperBytes)]))).toBe(`a${read.join('')}`);
});

test.each([
  ['koi8-u', 0xae, 'ў'],
  ['koi8-u', 0xbe, 'Ў'],
  ['windows-874', 0xdb, undefined],
  ['windows-874', 0xff, undefined],
  ['windows-874', 0x80, '€'],
  ['windows-1253', 0xaa, undefined],
  ['windows-1255', 0xca, '\u05ba'],
  ['iso-8859-16', 0xa4, '€'],
  ['iso-8859-16', 0x80, '\u0080'],
  ['iso-8859-16', 0xff, 'ÿ'],
  ['x-user-defined', 0x80, '\uf780'],
  ['windows-1251', 0x80, 'Ђ'],
  ['iso-8859-2', 0xbf, 'ż'],
] as const)('%s reads %i as the standard says', (charset, byte, text) => {
  expect(new Decoders().of(` ${charset.toUpperCase()} `)?.(Buffer.of(byte))).toBe(text);
});

test('an unknown name has no decoder', () => {
  for (const name of ['klingon', '', 'replacement', '__proto__', 'constructor']) expect(new Decoders().of(name), name).toBeUndefined();
});
