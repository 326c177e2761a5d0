import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bareJid, createJidReader, makeJid, type ReadJid } from '../../src/packet/jid.ts';

/** Reads one JID with a reader of its own, which has cached nothing. */
function parseJid(text: string): ReadJid {
  return createJidReader()(text);
}

/** The parts to compare: `prepared`, `user`, `server` and `resource`. */
function partsOf(text: string): string[] {
  const { jid, prepared } = parseJid(text);
  return [String(prepared), jid.user, jid.server, jid.resource];
}

describe('a JID is split at its first slash, then at its first @', () => {
  test.each([
    ['localhost', '', 'localhost', ''],
    ['alice@localhost', 'alice', 'localhost', ''],
    ['alice@localhost/phone', 'alice', 'localhost', 'phone'],
    ['localhost/phone', '', 'localhost', 'phone'],
    ['alice@localhost/at@home', 'alice', 'localhost', 'at@home'],
    ['localhost/at@home', '', 'localhost', 'at@home'],
    ['alice@localhost/a/b//c', 'alice', 'localhost', 'a/b//c'],
    ['alice@localhost//', 'alice', 'localhost', '/'],
    ['room@muc.localhost/Ada Lovelace', 'room', 'muc.localhost', 'Ada Lovelace'],
    ['alice@127.0.0.1', 'alice', '127.0.0.1', ''],
    ['alice@[::1]/phone', 'alice', '[::1]', 'phone'],
    ['a=b.c+d!#$%()*,-;?[\\]^_`{|}~@x', 'a=b.c+d!#$%()*,-;?[\\]^_`{|}~', 'x', ''],
  ])('%s', (text, user, server, resource) => {
    expect(partsOf(text)).toEqual(['true', user, server, resource]);
  });
});

describe('the user part is prepared by nodeprep', () => {
  test.each([
    ['upper case', 'ALiCE', 'alice'],
    ['accents in upper case', 'CAFÉ', 'café'],
    ['an accent after its letter', 'cafe\u0301', 'café'],
    ['a sharp s', 'Straße', 'strasse'],
    ['a final sigma', 'ΣΊΣΥΦΟΣ', 'σίσυφοσ'],
    ['a dotted capital i', '\u0130', 'i\u0307'],
    ['full-width letters', 'ＡＬＩＣＥ', 'alice'],
    ['a ligature', '\ufb01sh', 'fish'],
    ['a Roman numeral', 'henry\u2168', 'henryix'],
    ['the signs for ohm and ångström', '\u2126\u212b', 'ωå'],
    ['a mathematical final sigma', '\u{1d7bb}', 'σ'],
    ['characters that are mapped to nothing', 'foo\u00ad\u034f\u1806\u180bbar\u200b\u2060baz\ufe00\ufe08\ufe0f\ufeff', 'foobarbaz'],
    ['a Greek letter with an iota subscript', '\u1fb7', '\u1fb6\u03b9'],
    ['a square of several letters', '\u3316', '\u30ad\u30ed\u30e1\u30fc\u30c8\u30eb'],
    ['a compatibility ideograph as defined in Unicode 3.2', '\u{2f868}', '\u{2136a}'],
  ])('%s', (_what, user, prepared) => {
    expect(partsOf(`${user}@localhost`)).toEqual(['true', prepared, 'localhost', '']);
  });
});

describe('the resource is prepared by resourceprep', () => {
  test.each([
    ['keeps its case', 'Phone', 'Phone'],
    ['keeps a sharp s', 'Straße', 'Straße'],
    ['keeps emoji, which are unassigned in Unicode 3.2', '📱 home', '📱 home'],
    ['composes accents', 'Cafe\u0301', 'Café'],
    ['loses characters that are mapped to nothing', 'a\u00adb', 'ab'],
    ['converts full-width letters to narrow ones', 'Ｐｈｏｎｅ', 'Phone'],
    ['converts all spaces to one kind', 'my\u00a0phone', 'my phone'],
    ['may contain all characters that are forbidden in a user part', `"&'/:<>@`, `"&'/:<>@`],
  ])('%s', (_what, resource, prepared) => {
    expect(partsOf(`alice@localhost/${resource}`)).toEqual(['true', 'alice', 'localhost', prepared]);
  });
});

describe('each spelling of a domain is prepared to the same text', () => {
  test.each([
    ['münchen.example', 'münchen.example'],
    ['MÜNCHEN.example', 'münchen.example'],
    ['mu\u0308nchen.example', 'münchen.example'],
    ['xn--mnchen-3ya.example', 'münchen.example'],
    ['XN--MNCHEN-3YA.EXAMPLE', 'münchen.example'],
    ['münchen。example', 'münchen.example'],
    ['münchen．example．', 'münchen.example'],
    ['example.com.', 'example.com'],
    ['Straße.example', 'strasse.example'],
    ['ｅｘａｍｐｌｅ.com', 'example.com'],
    ['xn--iv8h.example', '🔏.example'],
    ['XN--MNCHEN-3YA.Example', 'münchen.example'],
    ['chat_1.example', 'chat_1.example'],
    ['[2001:DB8::1]', '[2001:db8::1]'],
  ])('%s', (server, prepared) => {
    expect(partsOf(`alice@${server}`)).toEqual(['true', 'alice', prepared, '']);
  });

  test.each([
    ['it decodes to characters that nameprep changes', 'xn--strae-oqa.example'],
    ['it decodes to plain letters', 'xn--abc-.example'],
    ['it decodes to nothing', 'xn--.example'],
    ['it is not valid Punycode', 'xn--ü-.example'],
    ['it decodes to a direction mark', 'xn--ab-p1t.example'],
    ['it decodes to letters of both directions', 'xn--a-zhc.example'],
  ])('an xn-- label stays unchanged if %s', (_why, server) => {
    expect(partsOf(server)).toEqual(['true', '', server, '']);
  });
});

describe('a right-to-left part contains no left-to-right characters', () => {
  test.each([
    ['Hebrew alone', 'אבג', true],
    ['Arabic with a digit inside', 'ا1ب', true],
    ['Hebrew with a Latin letter', 'אaב', false],
    ['Latin with a Hebrew letter', 'foo\u05bebar', false],
    ['Arabic that ends with a digit', 'ا1', false],
    ['Arabic that begins with a digit', '1ا', false],
  ])('%s', (_what, text, prepared) => {
    expect(parseJid(`${text}@localhost`).prepared).toBe(prepared);
    expect(parseJid(`alice@localhost/${text}`).prepared).toBe(prepared);
    expect(parseJid(`alice@${text}`).prepared).toBe(prepared);
  });
});

/** Prohibited in every part. */
const prohibited = {
  'a control character above ASCII': '\u0085',
  'a space other than the ASCII one': '\u1680',
  'a direction mark': '\u200e',
  'a direction override': '\u202a',
  'a line separator': '\u2028',
  'a musical control': '\u{1d175}',
  'private use': '\uf123',
  'private use of plane 16': '\u{10f234}',
  'a noncharacter': '\ufffe',
  'the last code point': '\u{10ffff}',
  'half a surrogate pair': '\ud83d',
  'the replacement character': '\ufffd',
  'an ideographic description': '\u2ff5',
  'a language tag': '\u{e0042}',
};

describe('a JID that cannot be prepared is returned unchanged', () => {
  test.each(Object.entries(prohibited))('%s', (_what, character) => {
    for (const text of [`a${character}b@localhost`, `alice@a${character}b`, `alice@localhost/a${character}b`]) {
      expect(parseJid(text)).toMatchObject({ prepared: false, jid: { full: text } });
    }
  });

  test.each([...` "&':<>`, '\t', '\n', '\u007f', '\u0000', '\u00a0', '\uff20'])('%j in a user part', (character) => {
    const { jid, prepared } = parseJid(`A${character}b@Localhost/Phone`);
    expect(prepared).toBe(false);
    expect(jid).toMatchObject({ user: `A${character}b`, server: 'Localhost', resource: 'Phone', bare: `A${character}b@Localhost` });
  });

  test.each(['\t', '\u007f', '\u0000'])('%j in a resource', (character) => {
    expect(parseJid(`alice@localhost/a${character}b`).prepared).toBe(false);
  });

  test.each(['a b', 'a@b', 'a!b', 'a:5222', 'a..b', '.a', '.', '[::1', '[x]', '[127.0.0.1]', 'a\u2024b', 'a\u2100b', 'a\u00ad.\u00ad.b'])(
    '%j as a domain',
    (server) => {
      expect(parseJid(`alice@${server}`)).toMatchObject({ prepared: false, jid: { full: `alice@${server}` } });
    },
  );

  test.each([
    ['', { user: '', server: '', resource: '', bare: '' }],
    ['@', { user: '', server: '', resource: '', bare: '@' }],
    ['/', { user: '', server: '', resource: '', bare: '' }],
    ['@localhost', { user: '', server: 'localhost', resource: '', bare: '@localhost' }],
    ['alice@', { user: 'alice', server: '', resource: '', bare: 'alice@' }],
    ['localhost/', { user: '', server: 'localhost', resource: '', bare: 'localhost' }],
    ['alice@localhost/', { user: 'alice', server: 'localhost', resource: '', bare: 'alice@localhost' }],
    ['/phone', { user: '', server: '', resource: 'phone', bare: '' }],
    ['alice@/phone', { user: 'alice', server: '', resource: 'phone', bare: 'alice@' }],
    ['\u00ad@localhost', { user: '\u00ad', server: 'localhost', resource: '', bare: '\u00ad@localhost' }],
    ['localhost/\u200b', { user: '', server: 'localhost', resource: '\u200b', bare: 'localhost' }],
  ])('%j, with an empty part', (text, parts) => {
    expect(parseJid(text)).toEqual({ prepared: false, jid: { ...parts, full: text } });
  });
});

describe('a part has at most 1023 bytes of UTF-8', () => {
  test.each([
    ['a user of 1023 letters', `${'a'.repeat(1023)}@localhost`, true],
    ['a user of 1024 letters', `${'a'.repeat(1024)}@localhost`, false],
    ['a user of 1022 bytes in 511 letters', `${'é'.repeat(511)}@localhost`, true],
    ['a user of 1024 bytes in 512 letters', `${'é'.repeat(512)}@localhost`, false],
    ['a user that is short enough after preparation', `${'a'.repeat(1023)}\u00ad@localhost`, true],
    ['a user that is too long after preparation', `${'\u2121'.repeat(342)}@localhost`, false],
    ['a domain of 1023 letters', 'a'.repeat(1023), true],
    ['a domain of 1024 letters', 'a'.repeat(1024), false],
    ['a resource of 1020 bytes in 255 emoji', `localhost/${'😀'.repeat(255)}`, true],
    ['a resource of 1024 bytes in 256 emoji', `localhost/${'😀'.repeat(256)}`, false],
  ])('%s', (_what, text, prepared) => {
    expect(parseJid(text).prepared).toBe(prepared);
  });
});

/** Strings with frequent separators and characters that stringprep changes. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'@/.-aZß é\u0301ſ\u00ad\u0130אا1ＡﬁＸ。\ud83d📱', 'xn--', 'mnchen-3ya') }),
  fc
    .tuple(fc.string({ unit: 'grapheme' }), fc.domain(), fc.string({ unit: 'grapheme' }))
    .map(([user, server, resource]) => `${user}@${server}/${resource}`),
);
const runs = { numRuns: 5000 };
/** Builds the tables once; {@link parseJid} builds them on each call. */
const read = createJidReader({ size: 10 });

describe('any text', () => {
  test('is read as a JID, unchanged if it is not prepared', () => {
    fc.assert(
      fc.property(text, (given) => {
        const { jid, prepared } = read(given);
        if (!prepared) expect(jid.full).toBe(given);
        else expect(jid).toEqual(makeJid(jid.user, jid.server, jid.resource));
        expect(Object.isFrozen(jid)).toBe(true);
      }),
      runs,
    );
  });

  test('remains unchanged when it is prepared again', () => {
    fc.assert(
      fc.property(text, (given) => {
        const first = read(given);
        if (first.prepared) expect(read(first.jid.full)).toEqual(first);
      }),
      runs,
    );
  });

  test('is read with the same result from a cache', () => {
    const forgetful = createJidReader({ size: 3 });
    fc.assert(
      fc.property(fc.array(fc.nat(7), { maxLength: 30 }), fc.array(text, { minLength: 8, maxLength: 8 }), (order, texts) => {
        const expected = texts.map(parseJid);
        expect(order.map((at) => forgetful(texts[at] ?? ''))).toEqual(order.map((at) => expected[at]));
      }),
    );
  });
});

describe('a reader of JIDs', () => {
  test('returns the same object for a recently read text', () => {
    const read = createJidReader({ size: 10 });
    const first = read('Alice@Localhost/Phone');
    for (let other = 0; other < 9; other += 1) read(`other-${other}@localhost`);
    expect(read('Alice@Localhost/Phone')).toBe(first);
  });

  test('keeps frequently read JIDs, and evicts the others', () => {
    const read = createJidReader({ size: 10 });
    const kept = read('alice@localhost');
    const forgotten = read('bob@localhost');
    for (let other = 0; other < 20; other += 1) {
      read(`other-${other}@localhost`);
      expect(read('alice@localhost')).toBe(kept);
    }
    expect(read('bob@localhost')).not.toBe(forgotten);
    expect(read('bob@localhost')).toEqual(forgotten);
  });

  test('remembers at most twice its size', () => {
    const read = createJidReader({ size: 10 });
    const texts = Array.from({ length: 200 }, (_, index) => `user-${index}@localhost`);
    const first = texts.map(read);
    // In reverse order, so that these reads do not evict the remaining ones.
    const known = texts.toReversed().filter((one, index) => read(one) === first.at(-1 - index));
    expect(known.length).toBeGreaterThanOrEqual(10);
    expect(known.length).toBeLessThanOrEqual(20);
  });

  test('does not cache a JID that cannot be prepared', () => {
    const read = createJidReader();
    expect(read('a b@localhost')).not.toBe(read('a b@localhost'));
    expect(read('a b@localhost')).toEqual(read('a b@localhost'));
  });
});

test.each([
  [makeJid('alice', 'localhost', 'phone'), 'alice@localhost', 'alice@localhost/phone'],
  [makeJid('alice', 'localhost', ''), 'alice@localhost', 'alice@localhost'],
  [makeJid('', 'localhost', 'phone'), 'localhost', 'localhost/phone'],
  [makeJid('', 'localhost', ''), 'localhost', 'localhost'],
])('%j is formatted from its parts', (jid, bare, full) => {
  expect(jid).toMatchObject({ bare, full });
  expect(bareJid(jid)).toEqual(makeJid(jid.user, jid.server, ''));
  expect(bareJid(jid).full).toBe(bare);
});
