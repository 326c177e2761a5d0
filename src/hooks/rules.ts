/** The rules of a handler: its `when`, compiled. */
import type { When } from '../config/config.ts';
import type { Packet, Stanza } from '../model/packet.ts';
import { prepareDomain } from '../packet/jid.ts';
import { hasText, isReport } from '../packet/kind.ts';
import { createProfiles, type Profiles } from '../packet/stringprep.ts';

export type Rule = (packet: Packet) => boolean;

/**
 * Compiles a `when`. All keys must match; a list matches if one of its members does; without keys every packet matches except
 * reports ({@link isReport}), which a rule must name: by `event`, or `status` by `kind`.
 *
 * `offline`, `delayed` and `body` ask for the fact or, with false, for its opposite. If the feed does not report sessions,
 * the receiver does not count as offline.
 */
export function compileWhen(when: When): Rule {
  const tests: Rule[] = [matchesReport(when)];

  // Cheap tests first: most packets fail one of them.
  if (when.direction !== undefined) tests.push(oneOf(when.direction, (packet) => packet.direction));
  if (when.stanza !== undefined) tests.push(oneOf(when.stanza, (packet) => packet.stanza.name));
  if (when.event !== undefined) tests.push(eventIn(when.event));
  if (when.kind !== undefined) tests.push(oneOf(when.kind, (packet) => packet.kind));
  if (when.type !== undefined) tests.push(oneOf(when.type, (packet) => typeOf(packet.stanza)));
  if (when.offline !== undefined) tests.push(fact(when.offline, (packet) => packet.sessions === 0));
  if (when.delayed !== undefined) tests.push(fact(when.delayed, (packet) => packet.delayed !== undefined));
  if (when.body !== undefined) tests.push(fact(when.body, hasText));
  if (when.has !== undefined) tests.push(childIn(when.has));
  if (when.from !== undefined) tests.push(jidMatches(when.from, (packet) => packet.from.bare));
  if (when.to !== undefined) tests.push(jidMatches(when.to, (packet) => packet.to.bare));

  return (packet) => tests.every((test) => test(packet));
}

/** The rule of a handler without a `when`. */
export const noReports: Rule = matchesReport({});

function matchesReport({ event = [], kind = [] }: When): Rule {
  const named = new Set([...event, ...kind.filter((name) => name === 'status')]);
  return (packet) => !isReport(packet.event) || named.has(packet.event);
}

function eventIn(events: readonly string[]): Rule {
  const wanted = new Set(events);
  const offline = wanted.has('offline');
  return (packet) => wanted.has(packet.event) || (offline && isForOffline(packet));
}

/** A message to a disconnected client is a report (`unack`), not an offline message. */
function isForOffline({ direction, stanza, sessions, event }: Packet): boolean {
  return direction === 'out' && stanza.name === 'message' && sessions === 0 && !isReport(event);
}

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

/**
 * Compiles globs for bare JIDs: `*` matches any characters, `?` one; one of the globs must match the whole JID. A glob is
 * prepared part by part as a JID is, so `Alice@EXAMPLE.org` matches the prepared JID of a packet.
 */
export function compileGlobs(globs: readonly string[]): (bareJid: string) => boolean {
  const profiles = createProfiles();
  const prepared = globs.map((glob) => prepareGlob(glob, profiles));
  return (bareJid) => prepared.some((glob) => matches(glob, bareJid));
}

/** A part that cannot be prepared stays as written: it can match a JID that could not be prepared either. */
function prepareGlob(glob: string, { nameprep, nodeprep }: Profiles): string {
  const at = glob.indexOf('@');
  const server = glob.slice(at + 1);
  const domain = prepareDomain(server, nameprep) ?? nameprep(server) ?? server; // a wildcard is not valid in a host name
  if (at === -1) return domain;

  const user = glob.slice(0, at);
  return `${nodeprep(user) ?? user}@${domain}`;
}

/**
 * A mismatch extends the last `*` by one character and never an earlier one, so the number of steps is at most the product of
 * both lengths. A regular expression would try every combination of all stars.
 */
function matches(glob: string, text: string): boolean {
  let [at, inText] = [0, 0];
  let lastStar = -1;
  let afterStar = 0;
  while (inText < text.length) {
    const wanted = glob.charCodeAt(at); // NaN after the end
    if (wanted === star) {
      lastStar = at;
      at += 1;
      afterStar = inText;
    } else if (wanted === question || wanted === text.charCodeAt(inText)) {
      inText += wanted === question ? widthAt(text, inText) : 1;
      at += 1;
    } else if (lastStar === -1) {
      return false;
    } else {
      at = lastStar + 1;
      afterStar += widthAt(text, afterStar);
      inText = afterStar;
    }
  }
  while (glob.charCodeAt(at) === star) at += 1;
  return at === glob.length;
}

const star = 0x2a;
const question = 0x3f;

/** A character outside the Basic Multilingual Plane takes two code units. */
function widthAt(text: string, index: number): number {
  return (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
}
