import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ServiceError } from '../../../src/kit/errors.ts';
import { element, findChild } from '../../../src/packet/xml/element.ts';
import { createStanzaParser, parseStanza, parseStreamHeader } from '../../../src/packet/xml/parse.ts';
import { MAX_DEPTH } from '../../../src/packet/xml/plain-reader.ts';
import { readCaptures } from '../../support/captures.ts';
import { plain } from './plain.ts';
import { readStream } from './read-stream.ts';
import { readWholeDocument } from './whole-document.ts';

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

describe('reads text as sent', () => {
  test.each([
    ['the five entities', '<a>&lt;&gt;&amp;&quot;&apos;</a>', '<>&"\''],
    ['numeric references', '<a>&#65;&#x42;&#x1F600;&#13;</a>', 'AB😀\r'],
    ['text after a CDATA section', '<a>one<![CDATA[<two>]]>three</a>', 'one<two>three'],
    ['brackets in a CDATA section', '<a><![CDATA[]]]]><![CDATA[>]]></a>', ']]>'],
    ['text after a comment', '<a>one<!-- x -->two</a>', 'onetwo'],
    ['text after a processing instruction', '<a>one<?x y?>two</a>', 'onetwo'],
    ['astral and joined characters', '<a>𝄞👩‍👩‍👧é</a>', '𝄞👩‍👩‍👧é'],
    ['line ends, normalised as XML requires', '<a>1\r\n2\r3\n4</a>', '1\n2\n3\n4'],
    ['white space alone', '<a> \n </a>', ' \n '],
  ])('%s', (_what, xml, text) => {
    expect(parseStanza(xml).children).toEqual([text]);
    expect(parseStanza(Buffer.from(xml)).text()).toBe(text);
  });
});

describe('refuses input that is not one well-formed element', () => {
  test.each([
    ['nothing', ''],
    ['text alone', 'a'],
    ['an unknown entity', '<a>&foo;</a>'],
    ['an entity with the name of a built-in property', '<a>&constructor;</a>'],
    ['an entity without an end', '<a>&amp</a>'],
    ['a reference to a code point that is not a character', '<a>&#0;</a>'],
    ['a reference to half a surrogate pair', '<a>&#xD83D;&#xDE00;</a>'],
    ['bad nesting', '<a><b></a></b>'],
    ['an open element', '<a><b></b>'],
    ['a second element', '<a/><b/>'],
    ['text after the element', '<a/>b'],
    ['text after the element that ends like a tag', '<a/>b>'],
    ['text before the element', 'b<a/>'],
    ['an entity before the element', '&lt;<a/>'],
    ['a CDATA section after the element', '<a/><![CDATA[x]]>'],
    ['a DOCTYPE', '<!DOCTYPE a><a/>'],
    ['an XML declaration', '<?xml version="1.1"?><a/>'],
    ['a processing instruction with a colon in its name', '<a><?x:y z?></a>'],
    ['an attribute without quotes', '<a b=c/>'],
    ['a duplicate attribute', "<a b='1' b='2'/>"],
    ['a < in an attribute', "<a b='<'/>"],
    [']]> in text', '<a>]]></a>'],
    ['a control character', '<a>\u0001</a>'],
    ['a comment with two dashes', '<a><!-- -- --></a>'],
    ['half a surrogate pair', '<a>\ud83d</a>'],
    ['a byte order mark', '\ufeff<a/>'],
  ])('%s', (_what, xml) => {
    expect(thrownBy(() => parseStanza(xml))).toMatchObject({ name: 'ServiceError', code: 'STREAM_INVALID' });
  });

  test.each([
    ['an element whose prefix is not declared', '<x:a/>'],
    ['an attribute whose prefix is not declared', "<a x:b=''/>"],
    ['a prefix used outside the scope of its declaration', "<a><b xmlns:x='u'/><x:c/></a>"],
    ['a prefix with an empty declaration', "<a xmlns:x=''/>"],
    ['a declaration without a prefix', "<a xmlns:='u'/>"],
    ['the prefix xml with another namespace', "<a xmlns:xml='u'/>"],
    ['a declaration of the prefix xmlns', "<a xmlns:xmlns='u'/>"],
    ['a name with two colons', "<a xmlns:x='u'><x:y:z/></a>"],
    ['a duplicate attribute under two prefixes', "<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>"],
  ])('%s, which does not make the stream invalid', (_what, xml) => {
    expect(thrownBy(() => parseStanza(xml))).toMatchObject({ name: 'ServiceError', code: 'STANZA_PREFIX_INVALID' });
  });

  test.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['an encoded surrogate', [0xed, 0xa0, 0xbd]],
    ['a truncated character', [0xe2, 0x82]],
    ['Latin-1', [0xe9]],
  ])('bytes that are not UTF-8: %s', (_what, bytes) => {
    const xml = Buffer.concat([Buffer.from('<a>'), Buffer.from(bytes), Buffer.from('</a>')]);
    expect(thrownBy(() => parseStanza(xml))).toMatchObject({ code: 'STREAM_INVALID' });
  });
});

test('a parser stays usable after any error', () => {
  const parse = createStanzaParser();
  for (const mistake of ['<a>&foo;</a>', '<a', '<a><b>', "<a b='", '<a/>x', '<!--', '<![CDATA[']) {
    expect(thrownBy(() => parse(mistake))).toBeInstanceOf(ServiceError);
    expect(parse('<c>d</c>').text()).toBe('d');
  }
});

test('white space around the element is allowed', () => {
  const parse = createStanzaParser();
  for (let times = 0; times < 3; times += 1) expect(parse(' \r\n<a/> \r\n').name).toBe('a');
});

test('elements may be nested up to the limit, and no deeper', () => {
  const nested = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth);
  expect(parseStanza(nested(MAX_DEPTH)).xml).toContain('<a/>');
  for (const depth of [MAX_DEPTH + 1, 10_000]) {
    expect(thrownBy(() => parseStanza(nested(depth)))).toMatchObject({ code: 'STANZA_TOO_DEEP', message: expect.stringContaining('128') });
  }
});

test('an attribute of a megabyte is read', () => {
  const value = 'ü'.repeat(500_000);
  expect(parseStanza(`<a b='${value}'/>`).attrs['b']).toBe(value);
});

describe.each([
  ['the plain reader', '<a'],
  ['saxes', "<a xmlns:x='u'"],
])('of the attributes that %s has read', (_what, tag) => {
  const builtIn = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', '__defineGetter__'];

  test.each(builtIn)('%s is an ordinary one', (name) => {
    const { attrs } = parseStanza(`${tag} ${name}='1'/>`);
    expect(attrs[name]).toBe('1');
    expect(Object.entries(attrs)).toContainEqual([name, '1']);
    expect(parseStanza(`${tag}/>`).attrs[name]).toBeUndefined();
    expect(name in parseStanza(`${tag}/>`).attrs).toBe(false);
  });
});

test.each([
  ['a single stanza', "<a b='1'><c><d/></c>text</a>"],
  ['a single stanza that saxes reads', "<a b='1'><c><!-- --><d/></c>text</a>"],
])('the tree of %s is frozen at every level', (_what, xml) => {
  const stanza = parseStanza(xml);
  const [child] = stanza.children;
  for (const part of [stanza, stanza.attrs, stanza.children, child]) expect(Object.isFrozen(part)).toBe(true);
  expect(thrownBy(() => Object.assign(stanza.attrs, { b: '2' }))).toBeInstanceOf(TypeError);
});

describe('namespaces', () => {
  const { namespaces } = parseStreamHeader(
    "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='7'>",
  );
  const parse = createStanzaParser({ namespaces });

  test('a stanza inherits the namespaces of the stream', () => {
    expect(parse('<message><body/></message>').children).toMatchObject([{ ns: 'jabber:component:accept' }]);
    expect(parse('<stream:error/>').ns).toBe('http://etherx.jabber.org/streams');
  });

  test('an inner declaration ends with its element', () => {
    const [first, second] = parse("<message><a xmlns='u'><b/></a><c/></message>").children;
    expect(first).toMatchObject({ ns: 'u', children: [{ ns: 'u' }] });
    expect(second).toMatchObject({ ns: 'jabber:component:accept' });
  });

  test('an empty declaration removes the default', () => {
    expect(parse("<a xmlns=''><b/></a>").children).toMatchObject([{ ns: '' }]);
  });

  test('an inherited namespace is declared once in the output', () => {
    expect(parse('<message><body>a</body></message>').xml).toBe('<message xmlns="jabber:component:accept"><body>a</body></message>');
  });

  test('an element that is written separately declares its inherited namespaces', () => {
    const stanza = parse("<message xmlns:x='u:x' x:y='1' xml:lang='en'><a xmlns='u'><x:b x:c='2'/></a><stream:d/><e xmlns=''/></message>");
    for (const part of [stanza, ...stanza.children, findChild(stanza, 'a', 'u')?.children[0]]) {
      if (part === undefined || typeof part === 'string') throw new Error('an element is missing');
      expect(withoutDeclarations(parseStanza(part.xml))).toEqual(withoutDeclarations(part));
      expect(withoutDeclarations(readWholeDocument(part.xml))).toEqual(withoutDeclarations(part));
    }
  });
});

interface Named {
  readonly name: string;
  readonly ns: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly children: readonly (Named | string)[];
}

function withoutDeclarations({ name, ns, attrs, children }: Named): unknown {
  const kept = Object.entries(attrs).filter(([key]) => !key.startsWith('xmlns'));
  return [name, ns, kept, children.map((child) => (typeof child === 'string' ? child : withoutDeclarations(child)))];
}

describe.each([...readCaptures()])('%s', (_file, bytes) => {
  test('each stanza is the same after it is written and read again', () => {
    for (const stanza of readStream([bytes]).stanzas) {
      expect(withoutDeclarations(parseStanza(stanza.xml))).toEqual(withoutDeclarations(stanza));
      expect(withoutDeclarations(readWholeDocument(stanza.xml))).toEqual(withoutDeclarations(stanza));
    }
  });
});

test('reads back any text of a built element', () => {
  const sendable = fc.string({ unit: 'binary' }).filter((text) => !/[\ufffe\uffff]|(?![\t\n\r\x7f-\x9f])\p{Cc}/u.test(text));
  fc.assert(
    fc.property(sendable, sendable, (text, value) => {
      const { xml } = element('a', { b: value }, [text, element('c', {}, [text])]);
      expect(plain(parseStanza(Buffer.from(xml)))).toMatchObject({
        attrs: { b: value },
        children: [...(text === '' ? [] : [text]), { name: 'c' }],
      });
      expect(parseStanza(xml).text('c')).toBe(text);
    }),
  );
});

test('a built element can always be read, with U+FFFD for characters that XML does not allow', () => {
  expect(parseStanza(element('a', { b: '\0\ud800' }, ['x\u0001\uffffy\udc00']).xml)).toMatchObject({
    attrs: { b: '\ufffd\ufffd' },
    children: ['x\ufffd\ufffdy\ufffd'],
  });
  fc.assert(
    fc.property(fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) }), (text) => {
      expect(parseStanza(element('a', { b: text }, [text]).xml).text()).toHaveLength(text.length);
    }),
  );
});

test('a stream header is parsed to its attributes and its declarations', () => {
  const { stream, namespaces } = parseStreamHeader(
    "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' id='a&amp;b' from='x'>",
  );
  expect(stream).toMatchObject({ name: 's:stream', ns: 'http://etherx.jabber.org/streams' });
  expect(stream.attrs['id']).toBe('a&b');
  expect(namespaces).toEqual({ '': 'jabber:client', s: 'http://etherx.jabber.org/streams' });
});
