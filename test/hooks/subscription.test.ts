import { expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { subscriptionOf } from '../../src/hooks/subscription.ts';
import { makeHandler } from '../support/make-handler.ts';

const own = { shouldMakeReq: () => true };

test.each<[string, When, string]>([
  ['stanza', { stanza: ['iq', 'message'] }, 'message iq'],
  ['types of messages', { type: ['chat', 'normal'] }, 'message'],
  ['types that other stanzas have too', { type: ['chat', 'error'] }, 'message presence iq'],
  ['a body', { body: true }, 'message'],
  ['kinds', { kind: ['reaction', 'status'] }, 'message status'],
  ['a kind that is a stanza', { kind: ['presence'] }, 'presence'],
  ['events', { event: ['iq', 'status', 'chat', 'unack'] }, 'message iq status unack'],
  ['only a report', { event: ['unack'] }, 'unack'],
  ['offline receivers', { event: ['offline'] }, 'message'],
  ['reports with a kind', { event: ['status', 'unack'], kind: ['reaction'] }, 'unack'],
  ['reports with a stanza', { event: ['status', 'unack'], stanza: ['presence'] }, 'status'],
  ['reports with a direction', { event: ['status', 'unack', 'presence'], direction: ['out'] }, 'presence unack'],
  ['reports with a body', { event: ['status', 'unack'], body: true }, 'unack'],
  ['only a direction', { direction: ['out'] }, 'message presence iq'],
])('a handler with rules for %s subscribes to the packets that can match', (_, when, subscription) => {
  expect(subscriptionOf([makeHandler({ when }, own)])).toBe(subscription);
});

test('without rules the built-in modules and the default `shouldMakeReq` subscribe to messages', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, { prepareBody: () => '' })])).toBe('message');
});

test('without rules a module with its own `shouldMakeReq` subscribes to all stanzas', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, own)])).toBe('message presence iq');
});

test('contradictory rules subscribe to nothing, and do not affect other handlers', () => {
  const contradiction = makeHandler({ when: { event: ['status'], stanza: ['iq'] } });
  expect(subscriptionOf([contradiction, makeHandler({ when: { event: ['presence'] } })])).toBe('presence');
});

test('without handlers the subscription is messages, the default of a tap', () => {
  expect(subscriptionOf([])).toBe('message');
});
