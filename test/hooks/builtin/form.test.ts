import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeForm } from '../../../src/hooks/builtin/form.ts';

test.each([
  ['Hi, Bob!', 'Hi%2C+Bob%21'],
  ["AZaz09-._~*'()!", 'AZaz09-._%7E%2A%27%28%29%21'],
  ['a+b&c=d%20', 'a%2Bb%26c%3Dd%2520'],
  ['żółć 😀', '%C5%BC%C3%B3%C5%82%C4%87+%F0%9F%98%80'],
  ['line\nbreak\ttab', 'line%0Abreak%09tab'],
  ['half \uD83D a pair', 'half+%EF%BF%BD+a+pair'],
  ['\uDE00\uD83D', '%EF%BF%BD%EF%BF%BD'],
  ['', ''],
])('%j is written as %s', (text, written) => {
  expect(encodeForm([['message', text]])).toBe(`message=${written}`);
});

test('fields stand in the order in which they were given', () => {
  const fields = [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
  ] as const;

  expect(encodeForm(fields)).toBe('b=1&a=2&b=3');
});

test('any form decoder reads back what was written, in nothing but plain characters', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
  );

  fc.assert(
    fc.property(fc.array(fc.tuple(text, text)), (fields) => {
      const form = encodeForm(fields);

      expect(form).toMatch(/^(?:[A-Za-z0-9._+&=-]|%[0-9A-F]{2})*$/);
      const wellFormed = fields.map((field) => field.map((part) => Buffer.from(part).toString()));
      expect([...new URLSearchParams(form)]).toEqual(wellFormed);
    }),
  );
});
