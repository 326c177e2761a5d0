import { expect, test } from 'vitest';
import type { Callbacks } from '../../pools/callbacks.ts';
import { callbacksIn } from '../../src/hooks/exports.ts';
import { makeHandler } from '../support/make-handler.ts';
import { makePacket } from '../support/make-packet.ts';

test.each<[boolean, string, Callbacks]>([
  [false, 'none of them', { prepareBody: () => '' }],
  [true, 'buildRequest', { buildRequest: () => 0 }],
  [true, 'a disposer alone', { disposePermfail: () => undefined }],
  [true, 'resetSession', { prepareBody: () => '', resetSession: () => undefined }],
])('delivers by itself: %s, with %s', (delivers, _what, callbacks) => {
  expect(makeHandler({}, callbacks).delivers).toBe(delivers);
});

test('a built-in module does not deliver by itself', () => {
  expect(makeHandler().delivers).toBe(false);
});

test('of a module’s exports the callbacks of delivery are found too', () => {
  const buildRequest = () => 0;
  const disposeDelivery = () => undefined;

  expect(callbacksIn({ buildRequest, other: 1, default: { disposeDelivery } })).toEqual({ callbacks: { buildRequest, disposeDelivery } });
});

test('without a `when` every stanza that passes by is let through, and no report', () => {
  const { lets } = makeHandler({}, { shouldMakeReq: () => true });

  expect(lets(makePacket({ event: 'presence' }))).toBe(true);
  expect(lets(makePacket({ event: 'status' }))).toBe(false);
  expect(lets(makePacket({ event: 'unack' }))).toBe(false);
});
