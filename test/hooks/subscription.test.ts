import { expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { subscriptionOf } from '../../src/hooks/subscription.ts';
import { makeHandler } from '../support/make-handler.ts';

const own = { shouldMakeReq: () => true };

test.each<[string, When, string]>([
  ['stanza', { stanza: ['iq', 'message'] }, 'message iq'],
  ['types of messages', { type: ['chat', 'normal'] }, 'message'],
  ['types that others have too', { type: ['chat', 'error'] }, 'message presence iq'],
  ['a body', { body: true }, 'message'],
  ['kinds', { kind: ['reaction', 'status'] }, 'message status'],
  ['a kind that is a stanza', { kind: ['presence'] }, 'presence'],
  ['events', { event: ['iq', 'status', 'chat', 'unack'] }, 'message iq status unack'],
  ['a report alone', { event: ['unack'] }, 'unack'],
  ['who is offline', { event: ['offline'] }, 'message'],
  ['reports with a kind', { event: ['status', 'unack'], kind: ['reaction'] }, 'unack'],
  ['reports with a stanza', { event: ['status', 'unack'], stanza: ['presence'] }, 'status'],
  ['reports with a direction', { event: ['status', 'unack', 'presence'], direction: ['out'] }, 'presence unack'],
  ['reports with a body', { event: ['status', 'unack'], body: true }, 'unack'],
  ['direction alone', { direction: ['out'] }, 'message presence iq'],
])('a handler with rules for %s wants what they can let through', (_, when, wanted) => {
  expect(subscriptionOf([makeHandler({ when }, own)])).toBe(wanted);
});

test('without rules our modules, and the default test, want messages', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, { prepareBody: () => '' })])).toBe('message');
});

test('without rules a module with a test of its own wants all', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, own)])).toBe('message presence iq');
});

test('rules that contradict each other want nothing, and take nothing from others', () => {
  const contradiction = makeHandler({ when: { event: ['status'], stanza: ['iq'] } });
  expect(subscriptionOf([contradiction, makeHandler({ when: { event: ['presence'] } })])).toBe('presence');
});

test('without handlers messages are asked for, as a tap would send anyway', () => {
  expect(subscriptionOf([])).toBe('message');
});
