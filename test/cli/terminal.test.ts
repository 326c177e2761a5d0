import { expect, test } from 'vitest';
import { jsonText, printable } from '../../src/cli/terminal.ts';

const attacks = [
  ['an escape sequence', '\u001b]0;owned\u0007'],
  ['an escape sequence of one character', '\u009b2J'],
  ['delete', '\u007f'],
  ['a return over the text before', 'failed\rdelivered'],
  ['a reversed direction', 'bob\u202etxt.exe'],
  ['an isolated direction', '\u2066bob\u2069'],
  ['an invisible character', 'bo\u200bb'],
  ['a line separator', 'bob\u2028dead'],
] as const;

test.each(attacks)('%s is not printed, in text and in JSON', (_, text) => {
  const isHarmless = /^[^\p{Cc}\p{Bidi_Control}\u200b\u2028]*$/u;
  expect(printable(text)).toMatch(isHarmless);
  expect(jsonText({ id: text })).toMatch(isHarmless);
  expect(JSON.parse(jsonText({ id: text }))).toEqual({ id: text });
});

test('other scripts, emoji and line breaks are kept', () => {
  const text = 'жаба\n👍🏽 שלום';
  expect(printable(text)).toBe(text);
  expect(JSON.parse(jsonText([text], 2))).toEqual([text]);
});
