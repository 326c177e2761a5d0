import { expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { wantOf } from '../../src/hooks/want.ts';
import { makeHandler } from '../support/make-handler.ts';

const own = { shouldMakeReq: () => true };

test.each<[string, When, string]>([
  ['stanza', { stanza: ['iq', 'message'] }, 'message iq'],
  ['types of messages', { type: ['chat', 'normal'] }, 'message'],
  ['types that others have too', { type: ['chat', 'error'] }, 'message presence iq'],
  ['a body', { body: true }, 'message'],
  ['kinds', { kind: ['reaction', 'status'] }, 'message presence'],
  ['direction alone', { direction: ['out'] }, 'message presence iq'],
])('a handler with rules for %s wants what they can let through', (_, when, wanted) => {
  expect(wantOf([makeHandler({ when }, own)])).toBe(wanted);
});

test('without rules our modules, and the default test, want messages', () => {
  expect(wantOf([makeHandler(), makeHandler({}, { prepareBody: () => '' })])).toBe('message');
});

test('without rules a module with a test of its own wants all', () => {
  expect(wantOf([makeHandler(), makeHandler({}, own)])).toBe('message presence iq');
});

test('without handlers messages are asked for, as a tap would send anyway', () => {
  expect(wantOf([])).toBe('message');
});
