import { describe, expect, test } from 'vitest';
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

  expect(callbacksIn({ buildRequest, other: 1, default: { disposeDelivery } })).toEqual({
    callbacks: { buildRequest, disposeDelivery },
    uncalled: [],
  });
});

describe('a message that asks not to be stored', () => {
  const hinted = (hints: string) =>
    makePacket({ stanza: `<message xmlns='jabber:client' type='chat'><body>psst</body>${hints}</message>` });
  const hint = (name: string, ns = 'urn:xmpp:hints') => `<${name} xmlns='${ns}'/>`;

  test.each([
    ['no-store', hint('no-store'), false],
    ['no-permanent-store', hint('no-permanent-store'), false],
    ['store beside it', hint('no-store') + hint('store'), true],
    ['no-copy', hint('no-copy'), true],
    ['no hint', hint('no-store', 'urn:x'), true],
  ])('%s: is met by a handler that respects hints as it should be, and by others', (_what, hints, met) => {
    expect(makeHandler({ respectHints: true }).lets(hinted(hints))).toBe(met);
    expect(makeHandler().lets(hinted(hints))).toBe(true);
  });

  test('meets no handler that respects hints, whatever its rules', () => {
    const when = { event: ['chat'] };
    expect(makeHandler({ respectHints: true, when }).lets(hinted(hint('no-store')))).toBe(false);
    expect(makeHandler({ respectHints: true, when }).lets(hinted(''))).toBe(true);
    expect(makeHandler({ respectHints: true, when: { event: ['iq'] } }).lets(hinted(''))).toBe(false);
  });
});

test('without a `when` every stanza that passes by is let through, and no report', () => {
  const { lets } = makeHandler({}, { shouldMakeReq: () => true });

  expect(lets(makePacket({ event: 'presence' }))).toBe(true);
  expect(lets(makePacket({ event: 'status' }))).toBe(false);
  expect(lets(makePacket({ event: 'unack' }))).toBe(false);
});
