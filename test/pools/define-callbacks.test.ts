import { expect, test } from 'vitest';
import { defineCallbacks } from '../../pools/callbacks.ts';

test('defineCallbacks returns callbacks and other values unchanged', () => {
  const given = {
    version: 1,
    shouldMakeReq: () => true,
    prepareBody: ({ message }: { readonly message: string }) => message.toUpperCase(),
  };
  const callbacks = defineCallbacks(given);
  expect(callbacks).toBe(given);
  expect([callbacks.version, callbacks.shouldMakeReq()]).toEqual([1, true]);
});

test('defineCallbacks types the arguments of callbacks', () => {
  const { prepareBody } = defineCallbacks({ prepareBody: ({ message, opts }) => `${opts.name}: ${message.toUpperCase()}` });
  expect(prepareBody.length).toBe(1);
});

test('defineCallbacks refuses a function with another name at compile time', () => {
  const misspelt = { prepareBody: () => 'x', shouldMakeRequest: () => false };
  // @ts-expect-error: a function of this name is never called
  expect(defineCallbacks(misspelt)).toBe(misspelt);
  // @ts-expect-error: the same as a method
  expect(defineCallbacks({ prepareBody: () => 'x', shouldMakeRequest: () => false })).toBeTypeOf('object');
});
