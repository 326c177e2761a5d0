/** The rules of a handler: its `when`, compiled. */
import type { When } from '../config/config.ts';
import type { Packet, Stanza } from '../model/packet.ts';
import { hasText, isReport } from '../packet/kind.ts';
import { compileGlobs, createGlobReader, type GlobReader, isLiteral } from './globs.ts';

export type Rule = (packet: Packet) => boolean;

/** A compiled `when`. */
export interface Rules {
  readonly when: When;
  readonly matches: Rule;
  /** The part of `matches` that depends only on the shape of a packet: its direction, stanza, event, kind and type. */
  readonly matchesShape: Rule;
  /** The bare JIDs of senders and receivers; undefined without the key or with wildcards. */
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[] | undefined;
}

/**
 * Compiles a `when`. All keys must match; a list matches if one of its members does; without keys every packet matches except
 * reports ({@link isReport}), which a rule must name: by `event`, or `status` by `kind`.
 *
 * `offline`, `delayed` and `body` ask for the fact or, with false, for its opposite. If the feed does not report sessions,
 * the receiver does not count as offline.
 */
export function compileWhen(when: When, readGlob: GlobReader = createGlobReader()): Rules {
  const [from, to] = [when.from?.map(readGlob), when.to?.map(readGlob)];
  const matchesShape = all([matchesReport(when), ...testsOfShape(when)]);
  const tests: Rule[] = [matchesShape];

  if (when.event?.includes('offline') === true) tests.push(eventIn(when.event, isForOffline));
  if (when.offline !== undefined) tests.push(fact(when.offline, (packet) => packet.sessions === 0));
  if (when.delayed !== undefined) tests.push(fact(when.delayed, (packet) => packet.delayed !== undefined));
  if (when.body !== undefined) tests.push(fact(when.body, hasText));
  if (when.has !== undefined) tests.push(childIn(when.has));
  if (from !== undefined) tests.push(jidMatches(from, (packet) => packet.from.bare));
  if (to !== undefined) tests.push(jidMatches(to, (packet) => packet.to.bare));

  return { when, matches: all(tests), matchesShape, from: literals(from), to: literals(to) };
}

function testsOfShape(when: When): readonly Rule[] {
  const tests: Rule[] = [];
  if (when.direction !== undefined) tests.push(oneOf(when.direction, (packet) => packet.direction));
  if (when.stanza !== undefined) tests.push(oneOf(when.stanza, (packet) => packet.stanza.name));
  if (when.event !== undefined) tests.push(eventIn(when.event, isOutgoingMessage));
  if (when.kind !== undefined) tests.push(oneOf(when.kind, (packet) => packet.kind));
  if (when.type !== undefined) tests.push(oneOf(when.type, (packet) => typeOf(packet.stanza)));
  return tests;
}

function literals(globs: readonly string[] | undefined): readonly string[] | undefined {
  return globs?.every(isLiteral) === true ? globs : undefined;
}

function all(tests: readonly Rule[]): Rule {
  return (packet) => {
    for (const test of tests) if (!test(packet)) return false;
    return true;
  };
}

function matchesReport({ event = [], kind = [] }: When): Rule {
  const named = new Set([...event, ...kind.filter((name) => name === 'status')]);
  return (packet) => !isReport(packet.event) || named.has(packet.event);
}

/** `isOffline`: whether a packet has the event `offline`. */
function eventIn(events: readonly string[], isOffline: Rule): Rule {
  const wanted = new Set(events);
  const offline = wanted.has('offline');
  return (packet) => wanted.has(packet.event) || (offline && isOffline(packet));
}

/** A message to a disconnected client is a report (`unack`), not an offline message. */
const isForOffline: Rule = (packet) => packet.sessions === 0 && isOutgoingMessage(packet);

const isOutgoingMessage: Rule = ({ direction, stanza, event }) => direction === 'out' && stanza.name === 'message' && !isReport(event);

function oneOf(list: readonly string[], read: (packet: Packet) => string): Rule {
  const wanted = new Set(list);
  return (packet) => wanted.has(read(packet));
}

/** The type of a stanza: by default `normal` for a message, `available` for a presence (RFC 6121 §5.2.2, §4.7.1). */
export function typeOf({ name, attrs }: Stanza): string {
  const type = attrs['type'];
  if (type !== undefined) return type;
  if (name === 'message') return 'normal';
  return name === 'presence' ? 'available' : '';
}

function fact(wanted: boolean, holds: Rule): Rule {
  return (packet) => holds(packet) === wanted;
}

function childIn(namespaces: readonly string[]): Rule {
  const wanted = new Set(namespaces);
  return ({ stanza }) => stanza.children.some((child) => typeof child !== 'string' && wanted.has(child.ns));
}

function jidMatches(globs: readonly string[], read: (packet: Packet) => string): Rule {
  const matches = compileGlobs(globs);
  return (packet) => matches(read(packet));
}
