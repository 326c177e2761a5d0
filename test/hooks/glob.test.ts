import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileGlobs } from '../../src/hooks/glob.ts';
import { effort } from '../sources/fuzz/effort.ts';

const matches = (glob: string, text: string) => compileGlobs([glob])(text);

/** The plainest reading: whether a glob's first characters match a text's first, for all lengths of both. */
function oracle(glob: string, text: string): boolean {
  const characters = Array.from(text);
  let row = [true, ...characters.map(() => false)];
  for (const wanted of Array.from(glob)) {
    const next = [wanted === '*' && row[0] === true];
    for (const [index, character] of characters.entries()) {
      const one = row[index] === true && (wanted === '?' || wanted === '*' || wanted === character);
      next.push(one || (wanted === '*' && (next[index] === true || row[index + 1] === true)));
    }
    row = next;
  }
  return row.at(-1) === true;
}

/** None that preparing a JID changes, as a final dot. */
const letters = ['a', 'b', '-', '_', '@', '\u{1F600}', '\u{1F601}'];
const text = fc.array(fc.constantFrom(...letters), { maxLength: 12 }).map((parts) => parts.join(''));
const glob = fc.array(fc.constantFrom('*', '*', '?', ...letters), { maxLength: 10 }).map((parts) => parts.join(''));

test('a glob matches what its plainest reading matches', () => {
  fc.assert(
    fc.property(glob, text, (given, jid) => {
      expect(matches(given, jid)).toBe(oracle(given, jid));
    }),
    effort(5000),
  );
});

test('a text made of a glob is matched by it', () => {
  const filled = fc.tuple(glob, fc.array(text, { minLength: 10, maxLength: 10 })).map(([given, texts]) => {
    const parts = Array.from(given, (character, index) => (character === '*' ? texts[index] : character === '?' ? '\u{1F600}' : character));
    return [given, parts.join('')] as const;
  });
  fc.assert(
    fc.property(filled, ([given, jid]) => {
      expect(matches(given, jid)).toBe(true);
    }),
    effort(2000),
  );
});

test.each([
  ['many stars', '*-*-*-*-*-*-*-*-*@localhost', `${'-'.repeat(3000)}@elsewhere`],
  ['many stars side by side', `${'*'.repeat(200)}x`, '-'.repeat(3000)],
  ['a long part behind a star', `*${'a'.repeat(500)}b@localhost`, `${'a'.repeat(3000)}@localhost`],
  ['single characters between stars', '*?*?*?*?*?*?*@localhost', 'a'.repeat(3000)],
])('%s do not hold the thread', (_name, given, jid) => {
  expect(matches(given, jid)).toBe(false);
});
