import { expect, test } from 'vitest';
import { callbacksIn } from '../../src/hooks/exports.ts';

const prepareBody = () => 'x';
const helper = () => 'y';

test('functions that are exported by name and are no callbacks are found with the callbacks', () => {
  expect(callbacksIn({ prepareBody, helper, version: 1 })).toEqual({ callbacks: { prepareBody }, uncalled: ['helper'] });
});

test.each([
  ['shouldMakeRequest', 'shouldMakeReq'],
  ['shouldMakeReqs', 'shouldMakeReq'],
  ['prepareHeader', 'prepareHeaders'],
  ['buildRequests', 'buildRequest'],
  ['dispose_permfail', 'disposePermfail'],
])('%s is refused, exported by name or by default, and taken for %s', (name, meant) => {
  const problems = [`it exports ${name}: did you mean ${meant}?`];
  expect(callbacksIn({ prepareBody, [name]: helper })).toEqual({ problems });
  expect(callbacksIn({ default: { prepareBody, [name]: helper } })).toEqual({ problems });
});

test('another function in a default export is refused, exported by name as well or not', () => {
  const problems = ['its default export has the function helper, which is no callback: take it out, or export it by name'];
  expect(callbacksIn({ default: { prepareBody, helper } })).toEqual({ problems });
  expect(callbacksIn({ helper, default: { prepareBody, helper } })).toEqual({ problems });
});

test('what is no function may have any name', () => {
  expect(callbacksIn({ default: { prepareBody, gates: 3 }, prepareHeader: 'x' })).toEqual({ callbacks: { prepareBody }, uncalled: [] });
});
