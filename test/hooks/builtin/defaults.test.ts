import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFormValue } from '../../../src/hooks/builtin/defaults.ts';

test.each([
  ['Hi, Bob!', 'Hi%2C+Bob%21'],
  ["AZaz09-._~*'()!", 'AZaz09-._%7E%2A%27%28%29%21'],
  ['a+b&c=d%20', 'a%2Bb%26c%3Dd%2520'],
  ['żółć 😀', '%C5%BC%C3%B3%C5%82%C4%87+%F0%9F%98%80'],
  ['line\nbreak\ttab', 'line%0Abreak%09tab'],
  ['half \uD83D a pair', 'half+%EF%BF%BD+a+pair'],
  ['\uDE00\uD83D', '%EF%BF%BD%EF%BF%BD'],
  ['', ''],
])('%j is encoded as %s', (text, written) => {
  expect(encodeFormValue(text)).toBe(written);
});

test('any form decoder restores the text, and the encoding uses plain characters only', () => {
  const units = fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes));
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), units);

  fc.assert(
    fc.property(fc.array(text), (values) => {
      const form = values.map((value) => `message=${encodeFormValue(value)}`).join('&');

      expect(form).toMatch(/^(?:[A-Za-z0-9._+&=-]|%[0-9A-F]{2})*$/);
      const wellFormed = values.map((value) => Buffer.from(value).toString());
      expect(new URLSearchParams(form).getAll('message')).toEqual(wellFormed);
    }),
  );
});
