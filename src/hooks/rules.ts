/** The rules of a handler: its `when`, compiled. */
import type { When } from '../config/config.ts';
import type { Packet } from '../model/packet.ts';
import { hasText, isReport, kindOfReport, reports, typeOf } from '../packet/kind.ts';
import { roomOf } from '../packet/room.ts';
import { compileGlobs, createGlobReader, type GlobReader, isLiteral } from './globs.ts';
import type { Rule, Rules } from './handler.ts';

/**
 * Compiles a `when`. All keys must match; a list matches if one of its members does; without keys every packet matches except
 * reports ({@link isReport}) and copies for absent members, which a rule must name: by `event`, by the `kind` that reports alone have,
 * or by `occupant`, on the top level or in the alternative of `any` that matches.
 *
 * `offline`, `delayed` and `body` ask for the fact or, with false, for its opposite. If the feed does not report sessions,
 * the receiver does not count as offline.
 */
export function compileWhen(when: When, readGlob: GlobReader = createGlobReader()): Rules {
  return compile(when, readGlob, []);
}

/** Compiles a `when` that need not name reports and absent members: these match like every other packet. */
export function compileTests(when: When, readGlob: GlobReader = createGlobReader()): Rules {
  return compile(when, readGlob, onRequest);
}

const absent = 'absent';

/** Names of the packets that match only rules that name them. */
const onRequest: readonly string[] = [...reports, absent];

interface CompiledWhen extends Rules {
  /** Whether `matchesShape` is the same as `matches`. */
  readonly isShape: boolean;
}

/** `named`: the packets of {@link onRequest} that the surrounding rules name. */
function compile(when: When, readGlob: GlobReader, named: readonly string[]): CompiledWhen {
  const ownNamed = [...named, ...reportsIn(when), ...(when.occupant === false ? [absent] : [])];
  const alternatives = when.any?.map((each) => compile(each, readGlob, ownNamed));
  const not = when.not === undefined ? undefined : compile(when.not, readGlob, onRequest);
  const [from, to] = [when.from?.map(readGlob), when.to?.map(readGlob)];
  const matchesOwnShape = all([alternatives === undefined ? isNamed(ownNamed) : always, ...testsOfShape(when)]);
  const tests = testsOfContent(when, { readGlob, from, to });
  const nested = [...(alternatives ?? []), ...(not === undefined ? [] : [not])];

  return {
    matches: all([
      matchesOwnShape,
      ...tests,
      ...(alternatives === undefined ? [] : [some(alternatives.map(({ matches }) => matches))]),
      ...(not === undefined ? [] : [negated(not.matches)]),
    ]),
    matchesShape: all([
      matchesOwnShape,
      ...(alternatives === undefined ? [] : [some(alternatives.map(({ matchesShape }) => matchesShape))]),
      // A shape that may match can also belong to packets that do not.
      ...(not?.isShape === true ? [negated(not.matches)] : []),
    ]),
    isShape: tests.length === 0 && nested.every(({ isShape }) => isShape),
    words: [...(when.stanza ?? []), ...(when.type ?? []), ...nested.flatMap(({ words }) => words)],
    from: literals(from) ?? union(alternatives?.map((each) => each.from)),
    to: literals(to) ?? union(alternatives?.map((each) => each.to)),
  };
}

/** The reports that a rule names by `event` or `kind`. */
function reportsIn({ event = [], kind = [] }: When): readonly string[] {
  return reports.filter((report) => {
    const ofReport = kindOfReport(report);
    return event.includes(report) || (ofReport !== undefined && kind.includes(ofReport));
  });
}

/** Lists every JID of the alternatives, if each of them lists its own. */
function union(lists: readonly Rules['from'][] | undefined): Rules['from'] {
  const known = lists?.filter((list) => list !== undefined);
  return known === undefined || known.length !== lists?.length ? undefined : known.flat();
}

function testsOfShape(when: When): readonly Rule[] {
  const tests: Rule[] = [];
  if (when.direction !== undefined) tests.push(oneOf(when.direction, (packet) => packet.direction));
  if (when.stanza !== undefined) tests.push(oneOf(when.stanza, (packet) => packet.stanza.name));
  if (when.event !== undefined) tests.push(eventIn(when.event, isOutgoingMessage));
  if (when.kind !== undefined) tests.push(oneOf(when.kind, (packet) => packet.kind));
  if (when.occupant !== undefined) tests.push(fact(when.occupant, ({ occupant }) => occupant !== false));
  if (when.type !== undefined) tests.push(oneOf(when.type, (packet) => typeOf(packet.stanza)));
  return tests;
}

interface Globs {
  readonly readGlob: GlobReader;
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[] | undefined;
}

function testsOfContent(when: When, { readGlob, from, to }: Globs): readonly Rule[] {
  const tests: Rule[] = [];
  if (when.event?.includes('offline') === true) tests.push(eventIn(when.event, isForOffline));
  if (when.offline !== undefined) tests.push(fact(when.offline, (packet) => packet.sessions === 0));
  if (when.delayed !== undefined) tests.push(fact(when.delayed, (packet) => packet.delayed !== undefined));
  if (when.body !== undefined) tests.push(fact(when.body, hasText));
  if (when.has !== undefined) tests.push(childIn(when.has));
  if (from !== undefined) tests.push(textMatches(from, (packet) => packet.from.bare));
  if (to !== undefined) tests.push(textMatches(to, (packet) => packet.to.bare));
  if (when.sender !== undefined) tests.push(textMatches(when.sender.map(readGlob), senderOf));
  if (when.room !== undefined) tests.push(textMatches(when.room.map(readGlob), roomOf));
  if (when.text !== undefined) tests.push(textMatches(when.text, bodyOf)); // the longest text, therefore the last test
  return tests;
}

function literals(globs: readonly string[] | undefined): readonly string[] | undefined {
  return globs?.every(isLiteral) === true ? globs : undefined;
}

const always: Rule = () => true;

function all(tests: readonly Rule[]): Rule {
  return (packet) => {
    for (const test of tests) if (!test(packet)) return false;
    return true;
  };
}

function some(tests: readonly Rule[]): Rule {
  return (packet) => tests.some((test) => test(packet));
}

function negated(test: Rule): Rule {
  return (packet) => !test(packet);
}

function isNamed(named: readonly string[]): Rule {
  return ({ event, occupant }) => (!isReport(event) || named.includes(event)) && (occupant !== false || named.includes(absent));
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

function fact(wanted: boolean, holds: Rule): Rule {
  return (packet) => holds(packet) === wanted;
}

function childIn(namespaces: readonly string[]): Rule {
  const wanted = new Set(namespaces);
  return ({ stanza }) => stanza.children.some((child) => typeof child !== 'string' && wanted.has(child.ns));
}

/** A packet without such a text does not match, whatever the globs. */
function textMatches(globs: readonly string[], read: (packet: Packet) => string | undefined): Rule {
  const matches = compileGlobs(globs);
  return (packet) => {
    const text = read(packet);
    return text !== undefined && text !== '' && matches(text);
  };
}

/** The occupant of a room, if the server reports who it is; otherwise the sender of the stanza. */
export function senderOf({ sender, from }: Packet): string {
  return (sender ?? from).bare;
}

function bodyOf({ stanza }: Packet): string {
  return stanza.name === 'message' ? stanza.text('body') : '';
}
