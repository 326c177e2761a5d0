import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asMap, asObject, maxJsonDepth, readJson } from '../../src/kit/json.ts';
import { effort } from '../sources/fuzz/effort.ts';

test('any JSON that is not nested too deep reads as JSON.parse reads it, with a byte order mark or without', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4, stringUnit: 'binary' }), fc.constantFrom('', '\uFEFF'), (json, mark) => {
      expect(readJson(mark + json)).toEqual({ kind: 'read', value: JSON.parse(json) });
    }),
    effort(100),
  );
});

test('any text is read without a throw, and as JSON.parse reads it', () => {
  const pieces = fc.constantFrom('[', ']', '{', '}', '"', '\\', ',', ':', '1', '\\u0000', '\uD800', 'null', ' ');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (text) => {
      const read = readJson(text.join(''));
      expect(read).toEqual(parsed(text.join('')));
    }),
    effort(1000),
  );
});

function parsed(text: string): object {
  try {
    return { kind: 'read', value: JSON.parse(text) };
  } catch {
    return { kind: 'not-json' };
  }
}

test.each([
  ['arrays', '[', ']'],
  ['objects', '{"a":', '}'],
])('%s may be nested to the limit, and not deeper', (_name, open, close) => {
  const nested = (levels: number) => `${open.repeat(levels)}${open === '[' ? '' : '1'}${close.repeat(levels)}`;
  expect(readJson(nested(maxJsonDepth)).kind).toBe('read');
  expect(readJson(nested(maxJsonDepth + 1))).toEqual({ kind: 'too-deep' });
  expect(readJson(nested(80_000))).toEqual({ kind: 'too-deep' });
});

test('brackets in strings are not levels', () => {
  const text = `${'['.repeat(200)}"\\${'{'.repeat(200)}`;
  expect(readJson(JSON.stringify({ text }))).toEqual({ kind: 'read', value: { text } });
});

test('many lists side by side are not deep', () => {
  expect(readJson(`[${Array(1000).fill('[{}]').join()}]`).kind).toBe('read');
});

test('an object is no array and not null', () => {
  for (const value of [undefined, null, [], [1], 'text', 1, true]) expect(asObject(value)).toBeUndefined();
  expect(asObject({ a: 1 })).toEqual({ a: 1 });
});

test('PHP’s empty array is an empty map, and no other array is', () => {
  expect(asMap([])).toEqual({});
  expect(asMap({ a: 1 })).toEqual({ a: 1 });
  for (const value of [undefined, null, [1], [[]], 'text']) expect(asMap(value)).toBeUndefined();
});
