import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createProfiles } from '../../src/packet/stringprep.ts';

const { nodeprep, nameprep, resourceprep } = createProfiles();
const python = spawnSync('python3', ['--version']).status === 0;

// The vectors of draft-josefsson-idn-test-vectors, which libidn and others use too.
describe('nameprep', () => {
  test.each([
    [
      'removes characters that are mapped to nothing',
      'foo\u00ad\u034f\u1806\u180b\u180c\u180d\u200b\u200c\u200d\u2060\ufe00\ufe08\ufe0f\ufeffbar',
      'foobar',
    ],
    ['folds the case of ASCII', 'CAFE', 'cafe'],
    ['folds the case of ß', '\u00df', 'ss'],
    ['folds the case of İ', '\u0130', 'i\u0307'],
    ['folds to several characters', '\u0143\u037a', '\u0144 \u03b9'],
    ['folds the case of an astral mathematical letter', '\u2121\u33c6\u{1d7bb}', 'telc\u2215kg\u03c3'],
    ['normalises composed characters', 'j\u030c\u00a0\u00aa', '\u01f0 a'],
    ['folds and normalises Greek', '\u1fb7', '\u1fb6\u03b9'],
    ['folds and normalises ǰ', '\u01f0', '\u01f0'],
    ['folds and normalises ΐ', '\u0390', '\u0390'],
    ['folds and normalises ΰ', '\u03b0', '\u03b0'],
    ['folds and normalises ẖ', '\u1e96', '\u1e96'],
    ['folds and normalises ὖ', '\u1f56', '\u1f56'],
    ['keeps an ASCII space', ' ', ' '],
    ['keeps ASCII controls', '\u0010\u007f', '\u0010\u007f'],
    ['converts a non-breaking space to a space', '\u00a0', ' '],
    ['converts an ideographic space to a space', '\u3000', ' '],
    ['keeps right to left', '\u0627\u0031\u0628', '\u0627\u0031\u0628'],
    ['normalises a presentation form', 'foo\ufe76bar', 'foo \u064ebar'],
    ['keeps characters that are unassigned in Unicode 3.2', '\u0221', '\u0221'],
    ['uses the mapping of Unicode 3.2 for characters that were corrected later', '\u{2f868}', '\u{2136a}'],
    ['combines all of these', 'X\u00ad\u00df\u0130\u2121j\u030c\u00a0\u00aa\u03b0\u2000', 'xssi\u0307tel\u01f0 a\u03b0 '],
  ])('%s', (_what, text, prepared) => {
    expect(nameprep(text)).toBe(prepared);
  });

  test.each([
    ['an ogham space mark', '\u1680'],
    ['a next line', '\u0085'],
    ['a Mongolian vowel separator', '\u180e'],
    ['an interlinear mark', '\ufff9'],
    ['an astral control', '\u{1d175}'],
    ['private use', '\uf123'],
    ['astral private use', '\u{f1234}'],
    ['more private use', '\u{10f234}'],
    ['no character', '\u{8fffe}'],
    ['a noncharacter at the end', '\u{10ffff}'],
    ['half a surrogate pair', '\udf42'],
    ['a replacement character', '\ufffd'],
    ['an ideographic description', '\u2ff5'],
    ['a deprecated mark that changes display', '\u200e'],
    ['another', '\u202a'],
    ['a language tag', '\u{e0001}'],
    ['a tagging character', '\u{e0042}'],
    ['right to left in left to right', 'foo\u05bebar'],
    ['right to left in left to right after normalisation', 'foo\ufd50bar'],
    ['right to left that ends with a digit', '\u0627\u0031'],
  ])('refuses %s', (_what, text) => {
    expect(nameprep(text)).toBeUndefined();
  });
});

describe('nodeprep', () => {
  test.each([...' "&\'/:<>@\u00a0\u0000\u007f'])('refuses %j, which nameprep does not check', (character) => {
    expect(nodeprep(`a${character}b`)).toBeUndefined();
  });

  test('folds like nameprep', () => {
    expect(nodeprep('ＡＬＩＣＥStraße')).toBe('alicestrasse');
  });

  test('refuses a separator that results only from normalisation', () => {
    expect(nodeprep('a＠b')).toBeUndefined();
  });
});

describe('resourceprep', () => {
  test('keeps case and spaces', () => {
    expect(resourceprep('My Phone ＸL')).toBe('My Phone XL');
  });

  test('refuses controls', () => {
    expect(resourceprep('a\tb')).toBeUndefined();
    expect(resourceprep('a\u0085b')).toBeUndefined();
  });
});

test('a prepared text stays unchanged when it is prepared again', () => {
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0x2fff }).map((code) => String.fromCodePoint(code)), maxLength: 12 });
  fc.assert(
    fc.property(text, (raw) => {
      const once = resourceprep(raw);
      if (once !== undefined) expect(resourceprep(once)).toBe(once);
    }),
  );
});

test.runIf(python)('the tables equal the output of the generator', () => {
  const generator = fileURLToPath(new URL('../support/generate-stringprep.py', import.meta.url));
  const { stdout } = spawnSync('python3', [generator], { encoding: 'utf8', maxBuffer: 1 << 20 });
  expect(readFileSync(new URL('../../src/packet/stringprep-tables.ts', import.meta.url), 'utf8')).toBe(stdout);
});

test.runIf(python)('every character is prepared as in Python, which implements RFC 3454 too', () => {
  const { stdout } = spawnSync('python3', ['-c', preparedInPython], { encoding: 'utf8', maxBuffer: 1 << 26 });
  const expected: Record<string, [string | null, string | null, string | null]> = JSON.parse(stdout);
  const different = Object.entries(expected).filter(([text, [node, name, resource]]) => {
    return (
      nodeprep(text) !== (node ?? undefined) || nameprep(text) !== (name ?? undefined) || resourceprep(text) !== (resource ?? undefined)
    );
  });
  expect(different).toEqual([]);
});

const preparedInPython = `
import json, stringprep as s, unicodedata
def bidi(t):
    if not any(map(s.in_table_d1, t)): return True
    return not any(map(s.in_table_d2, t)) and s.in_table_d1(t[0]) and s.in_table_d1(t[-1])
tables = [s.in_table_c12, s.in_table_c22, s.in_table_c3, s.in_table_c4, s.in_table_c5, s.in_table_c6, s.in_table_c7, s.in_table_c8, s.in_table_c9]
def profile(t, fold, more):
    t = ''.join(s.map_table_b2(c) if fold else c for c in t if not s.in_table_b1(c))
    t = unicodedata.ucd_3_2_0.normalize('NFKC', t)
    return None if any(more(c) or any(f(c) for f in tables) for c in t) or not bidi(t) else t
out = {}
for code in range(0x110000):
    c = chr(code)
    if 0xd800 <= code <= 0xdfff or s.in_table_a1(c) or s.in_table_c3(c) or 0x3400 < code < 0x9fa0 or 0xac00 < code < 0xd700 or 0x20000 < code < 0x2a6d0: continue
    if any(map(s.in_table_a1, s.map_table_b2(c))): continue
    out[c] = [profile(c, True, lambda c: s.in_table_c11(c) or s.in_table_c21(c) or c in '"&\\'/:<>@'), profile(c, True, lambda c: False), profile(c, False, s.in_table_c21)]
print(json.dumps(out))
`;
