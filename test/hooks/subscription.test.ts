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
])('a handler with rules for %s subscribes to the packets that can match', (_, when, want) => {
  expect(subscriptionOf([makeHandler({ when }, own)]).want).toBe(want);
});

test.each<[string, When, string]>([
  ['no direction', { stanza: ['message'] }, 'in out'],
  ['one direction', { direction: ['out'] }, 'out'],
  ['both directions', { direction: ['out', 'in'] }, 'in out'],
  ['offline receivers', { offline: true }, 'out'],
  ['receivers that are not offline', { offline: false }, 'in out'],
  ['the event of offline receivers', { event: ['offline', 'unack'] }, 'out'],
  ['the event of offline receivers, and another', { event: ['offline', 'chat'] }, 'in out'],
  ['a kind', { kind: ['room-left', 'status'] }, 'in out'],
  ['a report and a direction', { event: ['status', 'presence'], direction: ['in'] }, 'in'],
])('a handler with rules for %s subscribes to the directions that can match', (_, when, dir) => {
  expect(subscriptionOf([makeHandler({ when }, own)]).dir).toBe(dir);
});

test.each<[string, When]>([
  ['only reports', { event: ['status', 'unack'] }],
  ['a report as a kind', { kind: ['status'] }],
  ['contradictory rules', { offline: true, direction: ['in'] }],
])('a handler with %s adds no direction to those of others', (_, when) => {
  expect(subscriptionOf([makeHandler(), makeHandler({ when }, own)]).dir).toBe('in');
});

test('without rules the built-in modules and the default `shouldMakeReq` subscribe to messages of local users', () => {
  const subscription = subscriptionOf([makeHandler(), makeHandler({}, { prepareBody: () => '' })]);
  expect(subscription).toEqual({ want: 'message', dir: 'in' });
});

test('without rules a module with its own `shouldMakeReq` subscribes to all stanzas', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, own)])).toEqual({ want: 'message presence iq', dir: 'in out' });
});

test('contradictory rules subscribe to nothing, and do not affect other handlers', () => {
  const contradiction = makeHandler({ when: { event: ['status'], stanza: ['iq'] } });
  expect(subscriptionOf([contradiction, makeHandler({ when: { event: ['presence'] } })]).want).toBe('presence');
});

test('without handlers the subscription is messages in both directions, the default of a tap', () => {
  expect(subscriptionOf([])).toEqual({ want: 'message', dir: 'in out' });
});
