/** Explains the rules of a handler for one packet: each key of its `when`, nested ones too, and what the packet has. */
import type { HandlerConfig, When } from '../config/config.ts';
import type { Packet } from '../model/packet.ts';
import { hasText, typeOf } from '../packet/kind.ts';
import { roomOf } from '../packet/room.ts';
import { createGlobReader, type GlobReader } from './globs.ts';
import { compileTests, senderOf } from './rules.ts';

/** `rule`: where the key stands, as `host`, `type` or `any[1].not.sender`. */
export interface RuleFinding {
  readonly rule: string;
  readonly wanted: unknown;
  readonly matches: boolean;
  /** The property of the packet that the rule tests, without the text of a message. */
  readonly found: string;
}

/** The host, then each key of `when`; `any` and `not` stand before the rules in them. */
export function explainRules({ hosts, when = {} }: Pick<HandlerConfig, 'hosts' | 'when'>, packet: Packet): readonly RuleFinding[] {
  const host = { rule: 'host', wanted: hosts, matches: hosts.includes(packet.host), found: packet.host };
  return [host, ...findingsOf(when, packet, { prefix: '', readGlob: createGlobReader() })];
}

interface Place {
  readonly prefix: string;
  readonly readGlob: GlobReader;
}

function findingsOf(when: When, packet: Packet, { prefix, readGlob }: Place): readonly RuleFinding[] {
  return entriesOf(when).flatMap(([key, wanted]) => {
    const rule = prefix + key;
    const matches = compileTests({ [key]: wanted }, readGlob).matches(packet);
    const nested = nestedRules(when, key, rule).flatMap(([path, each]) => findingsOf(each, packet, { prefix: `${path}.`, readGlob }));
    return [{ rule, wanted, matches, found: found(key, packet, matches) }, ...nested];
  });
}

/** The given keys of a `when`. */
export function entriesOf(when: When): [key: keyof When, value: unknown][] {
  const keys = Object.keys(when).filter((key): key is keyof When => key in when);
  return keys.flatMap((key) => (when[key] === undefined ? [] : [[key, when[key]]]));
}

function nestedRules({ any = [], not = {} }: When, key: keyof When, path: string): readonly [path: string, rules: When][] {
  if (key === 'any') return any.map((each, index) => [`${path}[${index}]`, each]);
  return key === 'not' ? [[path, not]] : [];
}

function found(key: keyof When, packet: Packet, matches: boolean): string {
  const { direction, stanza, event, kind, from, to, sessions, delayed, occupant } = packet;
  switch (key) {
    case 'any':
      return matches ? 'an alternative matches' : 'no alternative matches';
    case 'not':
      return matches ? 'the rules in it do not all match' : 'the rules in it match';
    case 'body':
      return hasText(packet) ? 'text for people' : 'no text for people';
    case 'delayed':
      return delayed === undefined ? 'not delayed' : 'a delayed copy';
    case 'direction':
      return direction;
    case 'event':
      return sessions === 0 && direction === 'out' ? `${event}, for a receiver without a client` : event;
    case 'from':
      return from.bare;
    case 'has':
      return namespacesOf(packet).join(', ') || 'no child element';
    case 'kind':
      return kind;
    case 'occupant':
      return occupant === false ? 'an absent member of the room' : 'no absent member of a room';
    case 'offline':
      return sessions === undefined ? 'an unknown number of clients of the receiver' : `${counted(sessions, 'client')} of the receiver`;
    case 'room':
      return roomOf(packet) ?? 'no room';
    case 'sender':
      return senderOf(packet);
    case 'stanza':
      return stanza.name;
    case 'text':
      return textIn(packet);
    case 'to':
      return to.bare;
    case 'type':
      return typeOf(stanza) || 'none';
    default:
      return key satisfies never;
  }
}

function namespacesOf({ stanza }: Packet): readonly string[] {
  return [...new Set(stanza.children.flatMap((child) => (typeof child === 'string' ? [] : [child.ns])))];
}

function textIn({ stanza }: Packet): string {
  const { length } = stanza.name === 'message' ? Array.from(stanza.text('body')) : [];
  return length === 0 ? 'no text' : `a text of ${counted(length, 'character')}`;
}

function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}
