import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asMap, asObject, maxJsonDepth, readJson } from '../../src/kit/json.ts';
import { effort } from '../sources/fuzz/effort.ts';

test('reads JSON like JSON.parse, with or without a byte order mark', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4, stringUnit: 'binary' }), fc.constantFrom('', '\uFEFF'), (json, mark) => {
      expect(readJson(mark + json)).toEqual({ kind: 'read', value: JSON.parse(json) });
    }),
    effort(100),
  );
});

test('reads any text without throwing, with the result of JSON.parse', () => {
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
])('%s can be nested up to the limit but no deeper', (_name, open, close) => {
  const nested = (levels: number) => `${open.repeat(levels)}${open === '[' ? '' : '1'}${close.repeat(levels)}`;
  expect(readJson(nested(maxJsonDepth)).kind).toBe('read');
  expect(readJson(nested(maxJsonDepth + 1))).toEqual({ kind: 'too-deep' });
  expect(readJson(nested(80_000))).toEqual({ kind: 'too-deep' });
});

test('does not count brackets in strings as nesting', () => {
  const text = `${'['.repeat(200)}"\\${'{'.repeat(200)}`;
  expect(readJson(JSON.stringify({ text }))).toEqual({ kind: 'read', value: { text } });
});

test('does not count adjacent lists as nesting', () => {
  expect(readJson(`[${Array(1000).fill('[{}]').join()}]`).kind).toBe('read');
});

test('an array or null is not an object', () => {
  for (const value of [undefined, null, [], [1], 'text', 1, true]) expect(asObject(value)).toBeUndefined();
  expect(asObject({ a: 1 })).toEqual({ a: 1 });
});

test('an empty array from PHP counts as an empty map, any other array does not', () => {
  expect(asMap([])).toEqual({});
  expect(asMap({ a: 1 })).toEqual({ a: 1 });
  for (const value of [undefined, null, [1], [[]], 'text']) expect(asMap(value)).toBeUndefined();
});
