import { expect, test } from 'vitest';
import { withBody } from '../../src/packet/gate-decision.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const xhtml = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><b>old</b></body></html>";
const head = "<message xmlns='jabber:client' type='chat' from='a@b/c' to='d@b'>";

test.each([
  ['the only body', '<body>old</body>', '<body>new &amp;</body>'],
  [
    'the first of several bodies, and keeps its language',
    "<body xml:lang='de'>alt</body><body>old</body>",
    '<body xml:lang="de">new &amp;</body>',
  ],
  ['the body next to XHTML', `<body>old</body>${xhtml}`, '<body>new &amp;</body>'],
  [
    'nothing else',
    "<subject>old</subject><body>old</body><thread>t</thread><x xmlns='urn:x'><body>old</body></x><body xmlns='urn:y'>old</body>",
    '<subject>old</subject><body>new &amp;</body><thread>t</thread><x xmlns="urn:x"><body>old</body></x><body xmlns="urn:y">old</body>',
  ],
])('the new text replaces %s', (_, before, after) => {
  const changed = withBody(parseStanza(`${head}${before}</message>`), 'new &');
  expect(changed.xml).toBe(`${head.replaceAll("'", '"')}${after}</message>`);
  expect(changed.ns).toBe('jabber:client');
  expect(changed.text('body')).toBe('new &');
});

test('prefixes that were declared outside keep their namespaces', () => {
  const changed = withBody(parseStanza("<c:message xmlns:c='jabber:client' xmlns:x='urn:x'><c:body>old</c:body><x:y/></c:message>"), 'new');
  const again = parseStanza(changed.xml);
  expect(again.children).toMatchObject([{ ns: 'jabber:client' }, { ns: 'urn:x', name: 'x:y' }]);
  expect(again.children.map((child) => (typeof child === 'string' ? child : child.text()))).toEqual(['new', '']);
});
