import { expect, test } from 'vitest';
import { defineCallbacks } from '../../pools/callbacks.ts';

test('the helper for types takes callbacks, and values beside them, as they are', () => {
  const given = {
    version: 1,
    shouldMakeReq: () => true,
    prepareBody: ({ message }: { readonly message: string }) => message.toUpperCase(),
  };
  const callbacks = defineCallbacks(given);
  expect(callbacks).toBe(given);
  expect([callbacks.version, callbacks.shouldMakeReq()]).toEqual([1, true]);
});

test('the helper for types knows what a callback is given', () => {
  const { prepareBody } = defineCallbacks({ prepareBody: ({ message, opts }) => `${opts.name}: ${message.toUpperCase()}` });
  expect(prepareBody.length).toBe(1);
});

test('the helper for types refuses a function that is no callback, when it is compiled', () => {
  const misspelt = { prepareBody: () => 'x', shouldMakeRequest: () => false };
  // @ts-expect-error: a function of this name is never called
  expect(defineCallbacks(misspelt)).toBe(misspelt);
  // @ts-expect-error: the same, written in place
  expect(defineCallbacks({ prepareBody: () => 'x', shouldMakeRequest: () => false })).toBeTypeOf('object');
});
