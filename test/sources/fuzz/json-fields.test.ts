import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readJsonFields } from '../../../src/sources/http/exits/fields.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';

const number = fc.oneof(
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 25n }), fc.nat({ max: 1_000_000_000 }), fc.integer({ min: -400, max: 400 }))
    .map(([whole, part, power]) => `${whole}.${part}e${power}`),
);

/** The value of a decimal text: an integer without trailing zeros, and its power of ten. */
function exact(text: string): string {
  const [, sign, whole = '', fraction = '', power = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  let [value, exponent] = [BigInt(`${whole}${fraction}`), Number(power) - fraction.length];
  while (value !== 0n && value % 10n === 0n) [value, exponent] = [value / 10n, exponent + 1];
  return value === 0n ? '0' : `${sign}${value}e${exponent}`;
}

test(
  'a JSON number keeps its value or is refused',
  () => {
    const keeps = fc.property(number, (written) => {
      const read = readJsonFields(`{"n": ${written}}`);
      if (read.kind === 'fields') expect(exact(read.fields.get('n') ?? '')).toBe(exact(written));
      else expect(read.text).toContain('cannot be read exactly');
      if (/^-?\d+$/.test(written)) expect(read.kind).toBe('fields');
    });
    fc.assert(keeps, effort(2000));
  },
  fuzzTimeoutMs,
);

test(
  'the fields of any JSON object are those of JSON.parse',
  () => {
    const object = fc.dictionary(
      fc.string({ unit: 'grapheme' }),
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 4 })),
      { maxKeys: 20 },
    );
    const same = fc.property(object, fc.boolean(), (given, marked) => {
      const json = JSON.stringify(given, null, marked ? 2 : 0);
      const parsed: Record<string, unknown> = JSON.parse(json);
      const read = readJsonFields(marked ? `\ufeff${json}` : json);
      if (read.kind === 'problem') return;
      const expected = Object.entries(parsed).filter(([, value]) => value !== null);
      expect(new Set(read.fields.keys())).toEqual(new Set(expected.map(([name]) => name)));
      for (const [name, value] of expected) {
        const text = read.fields.get(name) ?? '';
        expect(typeof value === 'string' ? text : JSON.parse(text), name).toEqual(value);
      }
    });
    fc.assert(same, effort(1000));
  },
  fuzzTimeoutMs,
);
