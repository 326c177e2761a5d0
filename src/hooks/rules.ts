import type { When } from '../config/config.ts';
import type { Packet } from '../model/packet.ts';
import { hasText, isReport } from '../packet/kind.ts';
import { compileGlobs } from './glob.ts';
import { typeOf } from './stanza-type.ts';

/** Whether a handler meets a packet at all. */
export type Rule = (packet: Packet) => boolean;

/**
 * Compiles a handler's `when` once: every given key must hold, a list means any of its members, no key lets all through
 * but reports ({@link isReport}), which have to be named: by `event`, or `status` by `kind`.
 *
 * `type` is read as {@link typeOf} does.
 * `offline`, `delayed` and `body` ask for the fact or, with false, for its opposite; a receiver whose sessions the feed
 * does not tell is not known to be offline.
 */
export function compileWhen(when: When): Rule {
  const tests: Rule[] = [letsReport(when)];

  // The cheap ones stand first: most packets fail one of them.
  if (when.direction !== undefined) tests.push(member(when.direction, (packet) => packet.direction));
  if (when.stanza !== undefined) tests.push(member(when.stanza, (packet) => packet.stanza.name));
  if (when.event !== undefined) tests.push(happens(when.event));
  if (when.kind !== undefined) tests.push(member(when.kind, (packet) => packet.kind));
  if (when.type !== undefined) tests.push(member(when.type, (packet) => typeOf(packet.stanza)));
  if (when.offline !== undefined) tests.push(fact(when.offline, (packet) => packet.sessions === 0));
  if (when.delayed !== undefined) tests.push(fact(when.delayed, (packet) => packet.delayed !== undefined));
  if (when.body !== undefined) tests.push(fact(when.body, hasText));
  if (when.has !== undefined) tests.push(childIn(when.has));
  if (when.from !== undefined) tests.push(jidLike(when.from, (packet) => packet.from.bare));
  if (when.to !== undefined) tests.push(jidLike(when.to, (packet) => packet.to.bare));

  return (packet) => tests.every((test) => test(packet));
}

/** The rule of a handler without a `when`. */
export const noReports: Rule = letsReport({});

function letsReport({ event = [], kind = [] }: When): Rule {
  const named = new Set([...event, ...kind.filter((name) => name === 'status')]);
  return (packet) => !isReport(packet.event) || named.has(packet.event);
}

function happens(events: readonly string[]): Rule {
  const wanted = new Set(events);
  const offline = wanted.has('offline');
  return (packet) => wanted.has(packet.event) || (offline && isForOffline(packet));
}

/** What was written to a client that is gone is told as that. */
function isForOffline({ direction, stanza, sessions, event }: Packet): boolean {
  return direction === 'out' && stanza.name === 'message' && sessions === 0 && !isReport(event);
}

function member(list: readonly string[], read: (packet: Packet) => string): Rule {
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

function jidLike(globs: readonly string[], read: (packet: Packet) => string): Rule {
  const matches = compileGlobs(globs);
  return (packet) => matches(read(packet));
}
