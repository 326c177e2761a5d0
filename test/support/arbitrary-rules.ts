/** Random rules with nested ones, and packets that they often match. */
import fc from 'fast-check';
import type { When } from '../../src/config/config.ts';
import type { Packet } from '../../src/model/packet.ts';
import { makeJid, makePacket } from './make-packet.ts';

const jids = ['alice@localhost', 'bob@localhost', 'localhost', '__proto__', 'a*b@localhost'];
const directions = ['in', 'out'] as const;
const events = ['chat', 'groupchat', 'normal', 'presence', 'iq', 'status', 'unack'] as const;
const kinds = ['message', 'reaction', 'receipt', 'presence', 'status'] as const;
const types = ['chat', 'groupchat', 'normal', 'error', 'available', 'unavailable', 'get'];

const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { maxLength: 2 });

const keys = {
  direction: some(directions),
  stanza: some(['message', 'presence', 'iq']),
  type: some(types),
  kind: some(kinds),
  event: some([...events, 'offline']),
  body: fc.boolean(),
  offline: fc.boolean(),
  occupant: fc.boolean(),
  from: some([...jids, 'ALICE@localhost', '*@localhost', '\uff0a']),
  to: some([...jids, 'bob@*', 'b?b@localhost']),
  sender: some([...jids, 'alice@*']),
  room: some([...jids, '*@localhost']),
  text: some(['*', 'Hi', 'h*', 'H?']),
};

/** Few of the keys, because all of them together match no packet. */
const flat: fc.Arbitrary<When> = fc
  .tuple(fc.record(keys), fc.subarray(Object.keys(keys), { maxLength: 3 }))
  .map(([all, chosen]) => Object.fromEntries(Object.entries(all).filter(([key]) => chosen.includes(key))));

const nesting = (inner: fc.Arbitrary<When>): fc.Arbitrary<When> =>
  fc
    .record({ own: flat, not: fc.option(inner, { nil: undefined }), any: fc.option(fc.array(inner, { maxLength: 3 }), { nil: undefined }) })
    .map(({ own, not, any }) => ({ ...own, ...(not === undefined ? {} : { not }), ...(any === undefined ? {} : { any }) }));

export const arbitraryWhen: fc.Arbitrary<When> = fc.oneof(flat, nesting(flat), nesting(nesting(flat)));

export const arbitraryPacket: fc.Arbitrary<Packet> = fc
  .record({
    name: fc.constantFrom('message', 'message', 'presence', 'iq', 'x'),
    type: fc.constantFrom(undefined, ...types, 'strange', '__proto__'),
    payload: fc.constantFrom('', '<body>Hi</body>', "<no-store xmlns='urn:xmpp:hints'/>"),
    from: fc.constantFrom(...jids),
    to: fc.constantFrom(...jids),
    direction: fc.constantFrom(...directions),
    event: fc.option(fc.constantFrom(...events), { nil: undefined }),
    kind: fc.constantFrom(...kinds),
    sessions: fc.constantFrom(undefined, 0, 1),
    sender: fc.constantFrom(undefined, makeJid('bob@localhost')),
    occupant: fc.constantFrom(undefined, undefined, false),
    host: fc.constantFrom('localhost', 'localhost', 'other', 'elsewhere'),
  })
  .map(({ name, type, payload, from, to, event, ...given }) => {
    const attrs = `from='${from}' to='${to}'${type === undefined ? '' : ` type='${type}'`}`;
    const packet = makePacket({ ...given, stanza: `<${name} xmlns='jabber:client' ${attrs}>${payload}</${name}>` });
    return event === undefined ? packet : { ...packet, event };
  });
