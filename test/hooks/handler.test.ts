import { describe, expect, test } from 'vitest';
import type { Callbacks } from '../../pools/callbacks.ts';
import { makeHandler } from '../support/make-handler.ts';
import { makePacket } from '../support/make-packet.ts';

test.each<[boolean, string, Callbacks]>([
  [false, 'none of them', { prepareBody: () => '' }],
  [true, 'buildRequest', { buildRequest: () => 0 }],
  [true, 'a disposer alone', { disposePermfail: () => undefined }],
  [true, 'resetSession', { prepareBody: () => '', resetSession: () => undefined }],
])('has callbacks at delivery: %s, with %s', (expected, _what, callbacks) => {
  expect(makeHandler({}, callbacks).hasDeliveryCallbacks).toBe(expected);
});

test('a built-in module has no callbacks at delivery', () => {
  expect(makeHandler().hasDeliveryCallbacks).toBe(false);
});

describe('a message with a hint not to store it', () => {
  const hinted = (hints: string) =>
    makePacket({ stanza: `<message xmlns='jabber:client' type='chat'><body>psst</body>${hints}</message>` });
  const hint = (name: string, ns = 'urn:xmpp:hints') => `<${name} xmlns='${ns}'/>`;

  test.each([
    ['no-store', hint('no-store'), false],
    ['no-permanent-store', hint('no-permanent-store'), false],
    ['no-store with store', hint('no-store') + hint('store'), true],
    ['no-copy', hint('no-copy'), true],
    ['no hint', hint('no-store', 'urn:x'), true],
  ])('%s: matches a handler that respects hints as expected, and always one that does not', (_what, hints, expected) => {
    expect(makeHandler({ respectHints: true }).matches(hinted(hints))).toBe(expected);
    expect(makeHandler().matches(hinted(hints))).toBe(true);
  });

  test('matches no handler that respects hints, for any rules', () => {
    const when = { event: ['chat'] };
    expect(makeHandler({ respectHints: true, when }).matches(hinted(hint('no-store')))).toBe(false);
    expect(makeHandler({ respectHints: true, when }).matches(hinted(''))).toBe(true);
    expect(makeHandler({ respectHints: true, when: { event: ['iq'] } }).matches(hinted(''))).toBe(false);
  });
});

test('without a `when` every stanza matches, and no report', () => {
  const { matches } = makeHandler({}, { shouldMakeReq: () => true });

  expect(matches(makePacket({ event: 'presence' }))).toBe(true);
  expect(matches(makePacket({ event: 'status' }))).toBe(false);
  expect(matches(makePacket({ event: 'unack' }))).toBe(false);
});
