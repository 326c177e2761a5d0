/** The README: short, and true where it quotes the code. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { prepareBody } from '../../src/hooks/builtin/defaults.ts';
import { readPage } from '../support/guide.ts';

const { text } = readPage('README.md');

test('the README has at most 12 KiB', () => {
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(12 * 1024);
});

test('the README names the callbacks of a packet in the order of the code', () => {
  const [, steps = ''] = /^ {4}(stanza → .*)$/m.exec(text) ?? [];
  const source = readFileSync(new URL('../../pools/accept-callbacks.ts', import.meta.url), 'utf8');
  const [, declared = ''] = /interface AcceptCallbacks \{(.*?)^\}/ms.exec(source) ?? [];
  const names = [...declared.matchAll(/^ {2}(\w+)\?\(/gm)].map(([, name]) => name);
  expect(names).toHaveLength(3);
  expect(steps.split(' → ').filter((step) => /^(should|prepare)/.test(step))).toEqual(names);
});

test('the README shows the form that the default module makes', () => {
  const values = { sender: 'alice', host: 'localhost', receiver: 'bob', message: 'Hi, Bob!' };
  expect(text).toContain(`\n    ${prepareBody(values as Parameters<typeof prepareBody>[0])}\n`);
});
