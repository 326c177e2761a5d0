import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileGlobs, createGlobReader } from '../../src/hooks/globs.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { effort } from '../sources/fuzz/effort.ts';

const readGlob = createGlobReader();
/** A glob of a text, which is not prepared. */
const matchesText = (glob: string, text: string) => compileGlobs([glob])(text);
const matches = (glob: string, text: string) => compileGlobs([readGlob(glob)])(text);

/** The simplest algorithm: for all lengths of both, whether the start of the glob matches the start of the text. */
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

/** Without characters that preparing a JID changes, as a final dot. */
const letters = ['a', 'b', '-', '_', '@', '\u{1F600}', '\u{1F601}'];
const text = fc.array(fc.constantFrom(...letters), { maxLength: 12 }).map((parts) => parts.join(''));
const glob = fc.array(fc.constantFrom('*', '*', '?', ...letters), { maxLength: 10 }).map((parts) => parts.join(''));

test('a glob matches as the simplest algorithm does', () => {
  fc.assert(
    fc.property(glob, text, (given, jid) => {
      expect(matches(given, jid)).toBe(oracle(given, jid));
    }),
    effort(5000),
  );
});

test('a glob of a text matches as the simplest algorithm does, in upper case, in several lines and with a final dot', () => {
  const characters = ['a', 'A', '\n', '.', '\u{1F600}', '\u{1F601}'];
  const texts = fc.array(fc.constantFrom(...characters), { maxLength: 12 }).map((parts) => parts.join(''));
  const globs = fc.array(fc.constantFrom('*', '*', '?', ...characters), { maxLength: 10 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(globs, texts, (given, body) => {
      expect(matchesText(given, body)).toBe(oracle(given, body));
    }),
    effort(5000),
  );
});

test('a part of more characters than the bits of a word is found with its wildcards', () => {
  const part = `${'ab'.repeat(40)}?\u{1F600}c`;
  expect(matchesText(`x*${part}*`, `x\n${part.replace('?', '\u{1F601}')}y`)).toBe(true);
  expect(matchesText(`x*${part}*`, `x\n${part.replace('?', '')}y`)).toBe(false);
});

test('a glob matches every text that is made from it', () => {
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
  ['many adjacent stars', `${'*'.repeat(200)}x`, '-'.repeat(3000)],
  ['a long part after a star', `*${'a'.repeat(500)}b@localhost`, `${'a'.repeat(3000)}@localhost`],
  ['single characters between stars', '*?*?*?*?*?*?*@localhost', 'a'.repeat(3000)],
  ['a part with wildcards after a star', `*${'a?'.repeat(100)}b*`, 'a'.repeat(1_000_000)],
  ['a long part between stars', `*${'a'.repeat(250)}b*`, 'a'.repeat(1_000_000)],
  ['a long part at the end', `*${'a'.repeat(250)}`, `${'a'.repeat(1_000_000)}b`],
  ['many parts', '*a*a*a*a*a*a*a*a*b', 'a'.repeat(1_000_000)],
  ['parts in another order', `${'*ab'.repeat(60)}*`, `${'b'.repeat(1_000_000)}a`],
])('%s do not block the thread', (_name, given, jid) => {
  expect(matches(given, jid)).toBe(false);
});

test('a JID as a glob is prepared as the JID of a packet', () => {
  const readJid = createJidReader();
  const part = fc.array(fc.constantFrom('a', 'B', '.', '-', '_', '7', 'xn--mnchen-3ya', 'ß', '＊', ' ', '@'), { maxLength: 4 });
  const jid = fc.tuple(part, part).map(([user, domain]) => (user.length === 0 ? '' : `${user.join('')}@`) + domain.join(''));
  fc.assert(
    fc.property(jid, (given) => {
      const read = readJid(given);
      fc.pre(read.prepared);
      expect(readGlob(given)).toBe(read.jid.bare);
    }),
    effort(5000),
  );
});
