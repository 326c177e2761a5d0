import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packetToJson } from '../../src/hooks/delivery-factory.ts';
import { ServiceError } from '../../src/kit/errors.ts';
import type { PacketId, Stanza } from '../../src/model/packet.ts';
import { packetFrom } from '../../src/packet/from-xml.ts';
import { withBody } from '../../src/packet/gate-decision.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { asksNotToBeStored, hasText } from '../../src/packet/kind.ts';
import { parseStanza, readHead } from '../../src/packet/xml/parse.ts';
import { createServiceLogFeed } from '../../src/sources/component/unacknowledged-feeds.ts';
import { Flow } from '../../src/sources/source.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { attachmentTo } from '../support/component-source.ts';
import { growth, linear } from '../support/growth.ts';
import { effort, fuzzTimeoutMs } from './fuzz/effort.ts';
import { cutAt } from './fuzz/mutations.ts';
import { walk } from './fuzz/stanza-path.ts';

const ns = "xmlns='jabber:client'";
const message = (content: string, attributes = "type='chat' from='alice@localhost/x' to='bob@localhost'") =>
  `<message ${ns} ${attributes}>${content}</message>`;
const nested = (content: string) => `${"<a xmlns:p='u' xmlns='v'>".repeat(120)}${content}${'</a>'.repeat(120)}`;
const many = (count: number, piece: (index: number) => string) => Array.from({ length: count }, (_, index) => piece(index)).join('');

/** A message of about `bytes` bytes, filled with one construct. */
const shapes: readonly (readonly [string, (bytes: number) => string])[] = [
  ['namespace declarations of one element', (bytes) => message(`<a${many(bytes / 16, (nth) => ` xmlns:a${nth}='u'`)}/>`)],
  [
    'declarations and as many attributes that use them',
    (bytes) => message(`<a${many(bytes / 32, (nth) => ` xmlns:a${nth}='u${nth}' a${nth}:b='1'`)}/>`),
  ],
  [
    'declarations and as many children that use them',
    (bytes) => message(`<a${many(bytes / 32, (nth) => ` xmlns:a${nth}='u'`)}>${many(bytes / 32, (nth) => `<a${nth}:b/>`)}</a>`),
  ],
  ['children below declarations of the same prefix', (bytes) => message(nested(many(bytes / 8, () => '<p:b/>')))],
  ['children that each declare a prefix', (bytes) => message(many(bytes / 24, (nth) => `<p${nth}:a xmlns:p${nth}='u'/>`))],
  ['children whose attributes have a prefix', (bytes) => message(`<a xmlns:p='u'>${many(bytes / 12, () => "<b p:c=''/>")}</a>`)],
  ['attributes', (bytes) => message(`<a${many(bytes / 10, (nth) => ` a${nth}='1'`)}/>`)],
  ['one attribute', (bytes) => message(`<a b='${'&apos;'.repeat(bytes / 6)}'/>`)],
  ['text', (bytes) => message(`<body>${"'".repeat(bytes)}</body>`)],
  [
    'astral text with a fallback',
    (bytes) =>
      message(
        `<body>${'😀'.repeat(bytes / 4)}</body><active xmlns='http://jabber.org/protocol/chatstates'/>${many(100, () => "<fallback xmlns='urn:xmpp:fallback:0'><body start='0' end='5'/></fallback>")}`,
      ),
  ],
  ['entities', (bytes) => message(`<body>${'&amp;'.repeat(bytes / 5)}</body>`)],
  ['CDATA sections', (bytes) => message(`<body>${'<![CDATA[x]]>'.repeat(bytes / 13)}</body>`)],
  ['comments between texts', (bytes) => message(`<body>${'x<!---->'.repeat(bytes / 8)}</body>`)],
  ['white space', (bytes) => message(`<body>${' \r\n\t'.repeat(bytes / 4)}</body>`)],
  ['texts between children', (bytes) => message('x<a/>'.repeat(bytes / 5))],
  ['bodies', (bytes) => message('<body>x</body>'.repeat(bytes / 14))],
  [
    'archive results before a body',
    (bytes) => message(`<m:fin xmlns:m='u'/>${many(bytes / 30, () => "<fin xmlns='urn:xmpp:mam:2'/>")}<body>x</body>`),
  ],
  ['carbons before a body', (bytes) => message(`${many(bytes / 40, () => "<sent xmlns='urn:xmpp:carbons:2'/>")}<body>x</body>`)],
  [
    'fallbacks',
    (bytes) =>
      message(
        `<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>${many(bytes / 40, () => "<fallback xmlns='urn:xmpp:fallback:0'/>")}`,
      ),
  ],
  [
    'bodies of a fallback',
    (bytes) =>
      message(
        `<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/><fallback xmlns='urn:xmpp:fallback:0'>${"<body start='1'/>".repeat(bytes / 17)}</fallback>`,
      ),
  ],
  [
    'wrapped marks',
    (bytes) =>
      message(`<apply-to xmlns='urn:xmpp:fasten:0'>${"<retract xmlns='urn:xmpp:message-retract:0'/>".repeat(bytes / 48)}</apply-to>`),
  ],
  ['hints', (bytes) => message("<no-store xmlns='urn:xmpp:hints'/>".repeat(bytes / 34))],
  ['ids of archives', (bytes) => message("<stanza-id xmlns='urn:xmpp:sid:0' by='x' id='y'/>".repeat(bytes / 50))],
  ['combining marks in an address', (bytes) => message('', `from='a${'\u0316\u0301'.repeat(bytes / 4)}@localhost/x' to='bob@localhost'`)],
  ['combining marks in a resource', (bytes) => message('', `from='a@localhost/${'\u0301\u0316'.repeat(bytes / 4)}' to='bob@localhost'`)],
  ['a domain in punycode', (bytes) => message('', `from='a@localhost' to='xn--${'ab9'.repeat(bytes / 3)}'`)],
  ['labels of a domain', (bytes) => message('', `from='a@localhost' to='${'é.'.repeat(bytes / 3)}e'`)],
  [
    'codes of a room',
    (bytes) =>
      `<presence ${ns} type='unavailable' from='a@rooms.localhost/n' to='b@localhost'><x xmlns='http://jabber.org/protocol/muc#user'>${"<status code='110'/>".repeat(bytes / 20)}</x></presence>`,
  ],
];

describe('the cost of a stanza grows linearly with its size if it is full of', () => {
  test.each(shapes)(
    '%s',
    (_what, shape) => {
      expect(growth((size) => allTheWay(shape(size)), 16_384)).toBeLessThan(linear);
    },
    fuzzTimeoutMs,
  );
});

test(
  '28 000 namespace declarations are parsed, serialised and parsed again in linear time',
  () => {
    const xml = message(`<a${many(28_000, (nth) => ` xmlns:declared-prefix-${nth}='u'`)}/>`);
    const before = process.cpuUsage();
    allTheWay(xml);
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(5); // 31 s with the former quadratic code
  },
  fuzzTimeoutMs,
);

test(
  'the cost of a stanza grows linearly with its size for any repeated fragment',
  () => {
    const piece = fc.constantFrom(
      '<a>',
      '</a>',
      '<a/>',
      '<p:a/>',
      " b='c'",
      " xmlns='u'",
      " xmlns:p='u'",
      '&amp;',
      '&#65;',
      'x',
      "'",
      ' ',
      '<![CDATA[]]>',
      '<!---->',
      '<?p?>',
      '<body>',
      '</body>',
      "<fin xmlns='urn:xmpp:mam:2'/>",
      "<fallback xmlns='urn:xmpp:fallback:0'/>",
      '\u0301\u0316',
      '😀',
    );
    const fragment = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''));
    const where = fc.constantFrom('<body>#</body>', "<a b='#'/>", '<a#/>', '#', '<!--#-->', "<a xmlns:p='u'>#</a>");
    fc.assert(
      fc.property(fragment, where, (repeated, place) => {
        const shape = (bytes: number) => message(place.replace('#', () => repeated.repeat(bytes / repeated.length)));
        expect(growth((size) => allTheWay(shape(size)), 8192)).toBeLessThan(linear);
      }),
      effort(40),
    );
  },
  fuzzTimeoutMs * 2,
);

test('a text without an end tag is rejected in linear time', () => {
  expect(growth((size) => void readable(`<a/>${' '.repeat(size)}x`), 65_536)).toBeLessThan(linear);
});

const readJid = createJidReader({ size: 10 });

/** All processing of a stanza between the socket and the handlers. */
function allTheWay(xml: string): void {
  const bytes = Buffer.from(xml);
  walk({ feed: 'direct', host: 'localhost', domain: 'pusher.localhost' }, cutAt(bytes, [10_000, 20_000, 30_000]));
  readHead(bytes);
  const stanza = readable(bytes);
  if (stanza === undefined) return;
  parseStanza(stanza.xml);
  const seen = { stanza, direction: 'out', host: 'localhost', bytes: bytes.length, key: '' } as const;
  const { packet } = packetFrom(seen, { id: 'packet' as PacketId, origin: 'chat', receivedAt: 0 }, readJid);
  hasText(packet);
  asksNotToBeStored(stanza);
  packetToJson(packet);
  parseStanza(withBody(stanza, 'other').xml);
  serviceLog().received(parseStanza(`<message from='localhost'><forwarded xmlns='urn:xmpp:forward:0'>${xml}</forwarded></message>`), 1);
}

function serviceLog() {
  return createServiceLogFeed({
    attachment: attachmentTo({ feed: 'service_log' }),
    flow: new Flow(() => undefined, { maxBytes: 1 }),
    isOwn: () => false,
    events: createEventBus(),
    timers: { after: () => () => undefined },
    reportState: () => undefined,
    toPacket: (seen) => packetFrom(seen, { id: 'packet' as PacketId, origin: 'chat', receivedAt: 0 }, readJid).packet,
    skip: () => undefined,
    onOther: () => undefined,
  });
}

function readable(xml: Buffer | string): Stanza | undefined {
  try {
    return parseStanza(xml);
  } catch (thrown) {
    if (thrown instanceof ServiceError) return undefined;
    throw thrown;
  }
}
