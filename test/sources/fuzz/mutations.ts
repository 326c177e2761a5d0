import fc from 'fast-check';

/** A change to a stream's bytes. */
export type Mutation = (bytes: Buffer) => Buffer;

/** Position of a change: any byte, or the start or end of a tag, text or attribute value. */
type Spot = 'after-tag' | 'anywhere' | 'before-tag' | 'in-value';
interface Place {
  readonly spot: Spot;
  readonly nth: number;
}

const place: fc.Arbitrary<Place> = fc.record({
  spot: fc.constantFrom<Spot>('after-tag', 'anywhere', 'before-tag', 'in-value'),
  nth: fc.nat(0xffff),
});

/** Constructs that XML allows between and inside of texts, and that must not change anything else. */
const harmless = [
  '<!-- < & ] -->',
  '<![CDATA[<&]]]>',
  '<![CDATA[]]]]><![CDATA[>]]>',
  '<?p <q> ?>',
  '&#x1F600;',
  '&#128512;',
  '&amp;',
  '😀',
  '\u0301',
  ' ',
  '\r\n',
  '\t',
];

const harmful = [
  ...[
    '&',
    '&nbsp;',
    '&constructor;',
    '&#0;',
    '&#xD800;',
    '&#x110000;',
    '&#xFFFE;',
    '&#',
    '&amp',
    '<',
    '>',
    "'",
    '"',
    '/',
    '=',
    ']]>',
    ']]',
  ],
  ...[
    '<!--',
    '-->',
    '--',
    '<![CDATA[',
    '<?',
    '?>',
    '<?xml version="1.0"?>',
    '<!DOCTYPE a [<!ENTITY b "cc">]>',
    '\0',
    '\u0008',
    '\ufffe',
    '\ufeff',
  ],
  ...[
    "<a:b xmlns:c='d'/>",
    '<x>',
    '</x>',
    "<x y='1' y='2'/>",
    "<x xmlns:a='u' xmlns:b='u' a:y='1' b:y='2'/>",
    "<x xmlns=''><body>z</body></x>",
    "<x xml:lang='&#10;'/>",
  ],
  ...[
    " id='1' id='2'",
    " xmlns='urn:evil'",
    " xmlns:xml='urn:evil'",
    " xmlns:a=''",
    " from='chat.example'",
    " __proto__='1'",
    ' bare',
    ' a=b',
  ],
  ...[
    "<tap xmlns='urn:x-event-pusher:tap:1' seq='1' epoch='' dir='in'/>",
    "<forwarded xmlns='urn:xmpp:forward:0'/>",
    "<message xmlns='jabber:client'/>",
    "<iq type='error'/>",
  ],
  ...[
    "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    '</stream:stream>',
    '<stream:stream>',
    '<handshake/>',
    '<__proto__/>',
  ],
  ...['<x>'.repeat(200), `${'<x>'.repeat(200)}${'</x>'.repeat(200)}`, '&amp;'.repeat(300), ' '.repeat(2000)],
];

/** Invalid UTF-8: stray bytes, overlong forms, a surrogate, beyond the last character, truncated. */
const noText = [[0xff], [0x80], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf0, 0x9f, 0x98], [0xe2, 0x82]];

const snippet = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...harmless).map((text) => Buffer.from(text)) },
  { weight: 4, arbitrary: fc.constantFrom(...harmful).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.constantFrom(...noText).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes)) },
);

const words = [
  ...['jabber:client', 'jabber:component:accept', 'urn:xmpp:forward:0', 'urn:x-event-pusher:tap:1', 'http://etherx.jabber.org/streams'],
  ...[
    "dir='in'",
    "dir='out'",
    "dir='status'",
    "dir='unack'",
    "seq='",
    "type='chat'",
    "type='groupchat'",
    "type='error'",
    'body',
    'message',
    'presence',
    'iq',
  ],
] as const;

const word = fc.constantFrom(...words);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(place, snippet).map(insertion) },
  {
    weight: 2,
    arbitrary: fc.tuple(place, fc.nat(40)).map(
      ([at, length]) =>
        (bytes: Buffer) =>
          splice(bytes, at, length),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(place, fc.nat(400)).map(repetition) },
  {
    weight: 2,
    arbitrary: fc.tuple(word, word).map(
      ([from, to]) =>
        (bytes: Buffer) =>
          replaced(bytes, from, to),
    ),
  },
  { weight: 1, arbitrary: fc.tuple(place, fc.constantFrom('x', '😀', '&lt;', '<y/>'), fc.nat(9000)).map(growth) },
  { weight: 1, arbitrary: place.map((at) => (bytes: Buffer) => bytes.subarray(0, offsetOf(bytes, at))) },
);

/** Zero or more changes, applied in order. */
export const mutations: fc.Arbitrary<Mutation> = fc
  .array(mutation, { maxLength: 5 })
  .map((all) => (bytes: Buffer) => all.reduce((changed, change) => change(changed), bytes));

/** Changes that leave every stanza readable: constructs that XML allows inside of a text, at a text. */
export const decorations: fc.Arbitrary<Mutation> = fc.array(fc.tuple(fc.nat(0xffff), fc.constantFrom(...harmless)), { maxLength: 8 }).map(
  (all) => (bytes: Buffer) =>
    all.reduce((decorated, [nth, text]) => {
      const bodies = placesOf(decorated, '<body>').map((at) => at + '<body>'.length);
      const at = bodies[nth % Math.max(1, bodies.length)];
      return at === undefined ? decorated : Buffer.concat([decorated.subarray(0, at), Buffer.from(text), decorated.subarray(at)]);
    }, bytes),
);

/** Positions at which a stream is cut into reads, in 1/65536 of its length. */
export const cuts = fc.uniqueArray(fc.nat(0xffff), { maxLength: 12 });

export function cutAt(bytes: Buffer, parts: readonly number[]): Buffer[] {
  const ends = [...parts.map((part) => Math.floor((part * bytes.length) / 0x10000)).toSorted((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

function insertion([at, inserted]: readonly [Place, Buffer]): Mutation {
  return (bytes) => splice(bytes, at, 0, inserted);
}

function repetition([at, length]: readonly [Place, number]): Mutation {
  return (bytes) => {
    const offset = offsetOf(bytes, at);
    return splice(bytes, at, 0, bytes.subarray(offset, offset + length));
  };
}

function growth([at, piece, times]: readonly [Place, string, number]): Mutation {
  return (bytes) => splice(bytes, at, 0, Buffer.from(piece.repeat(times)));
}

function replaced(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1');
}

function splice(bytes: Buffer, at: Place, length: number, inserted: Uint8Array = Buffer.alloc(0)): Buffer {
  const offset = offsetOf(bytes, at);
  return Buffer.concat([bytes.subarray(0, offset), inserted, bytes.subarray(offset + length)]);
}

function offsetOf(bytes: Buffer, { spot, nth }: Place): number {
  const offsets = spot === 'anywhere' ? [] : offsetsAt[spot](bytes);
  return offsets[nth % Math.max(1, offsets.length)] ?? nth % (bytes.length + 1);
}

const offsetsAt = {
  'after-tag': (bytes: Buffer) => placesOf(bytes, '>').map((at) => at + 1),
  'before-tag': (bytes: Buffer) => placesOf(bytes, '<'),
  'in-value': (bytes: Buffer) => placesOf(bytes, "='").map((at) => at + 2),
} as const;

function placesOf(bytes: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}
