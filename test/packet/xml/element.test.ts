import { expect, test } from 'vitest';
import { childElements, element, escapeText, findChild, findChildren, localName, toXml } from '../../../src/packet/xml/element.ts';
import { parseStanza } from '../../../src/packet/xml/parse.ts';

test('builds the given content, without undefined and empty parts', () => {
  const stanza = element('iq', { type: 'set', id: 7, to: undefined }, ['', element('ack', { xmlns: 'urn:x', h: 0 }), 'a', 'b']);
  expect(toXml(stanza)).toBe('<iq type="set" id="7"><ack xmlns="urn:x" h="0"/>ab</iq>');
  expect(stanza.xml).toBe(toXml(stanza));
  expect(stanza.children.at(-1)).toBe('ab');
});

test('a built child takes the namespace of its parent', () => {
  const body = element('body', {}, [element('b')]);
  const message = element('message', { xmlns: 'jabber:client' }, [body, element('x', { xmlns: 'urn:x' }, [element('y')])]);
  expect(message).toMatchObject({
    ns: 'jabber:client',
    children: [{ ns: 'jabber:client', children: [{ ns: 'jabber:client' }] }, { ns: 'urn:x' }],
  });
  expect(message.xml).toBe('<message xmlns="jabber:client"><body><b/></body><x xmlns="urn:x"><y/></x></message>');
  expect(body.ns).toBe('');
});

test('an element that was read keeps its namespace under any parent', () => {
  const [read] = childElements(parseStanza("<a xmlns='urn:a' xmlns:p='urn:p'><b p:c='1'/></a>"));
  if (read === undefined) throw new Error('nothing was read');
  const forwarded = element('forwarded', { xmlns: 'urn:xmpp:forward:0' }, [read]);
  expect(forwarded.xml).toBe('<forwarded xmlns="urn:xmpp:forward:0"><b xmlns="urn:a" xmlns:p="urn:p" p:c="1"/></forwarded>');
});

test('built elements are frozen', () => {
  const attrs = { a: '1' };
  const built = element('x', attrs);
  for (const part of [built, built.attrs, built.children]) expect(Object.isFrozen(part)).toBe(true);
  expect(Object.isFrozen(attrs)).toBe(false);
});

test('finds children by the name as written, or by local name and namespace', () => {
  const stanza = parseStanza("<a xmlns:p='urn:p'><b/><p:b n='1'/><b xmlns='urn:p' n='2'/>text</a>");
  expect(findChild(stanza, 'b')?.ns).toBe('');
  expect(findChild(stanza, 'b', 'urn:p')?.attrs['n']).toBe('1');
  expect(findChildren(stanza, 'b', 'urn:p')).toHaveLength(2);
  expect(findChild(stanza, 'b', 'urn:q')).toBeUndefined();
  expect(childElements(stanza).map(({ name }) => localName(name))).toEqual(['b', 'b', 'b']);
});

test('text is that of the first child on the path, without its elements', () => {
  const stanza = parseStanza('<a>x<b>1<c>2</c>3</b>y<b>4</b></a>');
  expect([stanza.text(), stanza.text('b'), stanza.text('b', 'c'), stanza.text('c'), stanza.text('b', 'd')]).toEqual([
    'xy',
    '13',
    '2',
    '',
    '',
  ]);
});

test('text is escaped so that it remains text in any position', () => {
  expect(escapeText('a<b>&]]>\r\n"\'')).toBe('a&lt;b&gt;&amp;]]&gt;&#13;\n"\'');
});
