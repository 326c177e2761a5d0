import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from '../../src/kit/nearest.ts';

test.each([
  ['', '', 0],
  ['', 'abc', 3],
  ['path', 'path', 0],
  ['path', 'paht', 1],
  ['path', 'pat', 1],
  ['path', 'paths', 1],
  ['path', 'bath', 1],
  ['kitten', 'sitting', 3],
])('the distance between "%s" and "%s" is %i', (left, right, distance) => {
  expect(editDistance(left, right)).toBe(distance);
});

test('the distance is symmetric, and zero only for equal words', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
      expect(editDistance(left, right)).toBe(editDistance(right, left));
      expect(editDistance(left, right) === 0).toBe(left === right);
    }),
  );
});

test('suggests the nearest name regardless of case', () => {
  expect(nearest('Pool_nmae', ['path', 'pool_name', 'name'])).toBe('pool_name');
});

test('suggests nothing if no name is near', () => {
  expect(nearest('colour', ['path', 'pool_name'])).toBeUndefined();
});
