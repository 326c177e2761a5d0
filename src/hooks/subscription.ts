import type { When } from '../config/config.ts';
import { type Direction, lifeEvents, type Subscription } from '../model/packet.ts';
import { isRoomChange } from '../packet/room.ts';
import * as defaults from './builtin/defaults.ts';
import type { LoadedHandler } from './handler.ts';

/** The words of a tap's attribute `want`, in the order in which they are written. */
const words = ['message', 'presence', 'iq', 'status', 'unack', 'members', 'rooms', 'accounts'] as const;
type Word = (typeof words)[number];

const stanzas: readonly Word[] = ['message', 'presence', 'iq'];
const lifeWords: readonly Word[] = ['rooms', 'accounts'];
const messageTypes: ReadonlySet<string> = new Set(['chat', 'groupchat', 'headline', 'normal']);
const directions: readonly Direction[] = ['in', 'out'];

/**
 * The packets that any of the handlers may push. A handler without rules and with its own `shouldMakeReq` may push any stanza; reports
 * (`status`, `unack`, life events) and copies for absent members (`members`) must be named. Without handlers: the default of a tap.
 */
export function subscriptionOf(handlers: readonly LoadedHandler[]): Subscription {
  const rules = handlers.map(rulesOf);
  return {
    want:
      union(
        words,
        rules.map((when) => wordsOfRules(when)),
      ) || 'message',
    dir: union(directions, rules.map(directionsOfRules)) || 'in out',
  };
}

function union(all: readonly string[], lists: readonly (readonly string[])[]): string {
  return all.filter((word) => lists.some((list) => list.includes(word))).join(' ');
}

/** Without rules: the test of the module. Every built-in module accepts only messages from local users. */
function rulesOf({ config, builtIn, callbacks }: LoadedHandler): When {
  if (config.when !== undefined) return config.when;
  return builtIn !== undefined || callbacks.shouldMakeReq === defaults.shouldMakeReq ? { direction: ['in'], stanza: ['message'] } : {};
}

/**
 * The directions of the stanzas that may match: `out` if the receiver must be offline, since `in` has no sessions; with `any`, those of
 * its alternatives. `not` is left out: a packet that a part of it excludes may still match.
 */
function directionsOfRules(when: When): readonly string[] {
  if (!wordsOfRules(when).some((word) => stanzas.includes(word))) return [];
  const { direction = directions, event, offline, any } = when;
  const isOut = offline === true || event?.every((name) => name === 'offline' || !stanzas.includes(wordOfEvent(name))) === true;
  const ofAny: readonly string[] = any?.flatMap(directionsOfRules) ?? directions;
  return direction.filter((name) => (name === 'out' || !isOut) && ofAny.includes(name));
}

/** The words that every rule allows. `named`: the words that the rules around these name. */
function wordsOfRules(when: When, named: readonly Word[] = []): readonly Word[] {
  const { direction, stanza, type, kind, event, occupant, body, text, room, any } = when;
  const ownNamed: readonly Word[] = [
    ...named,
    ...(event?.map(wordOfEvent) ?? []),
    ...(kind?.flatMap(wordsOfReports) ?? []),
    ...(occupant === false ? membersWord : []),
  ];
  const isOnlyMessages = body === true || text !== undefined || type?.every((name) => messageTypes.has(name)) === true;
  const rules: (readonly Word[] | undefined)[] = [
    event?.flatMap(wordsOfEvent) ?? (any === undefined ? [...stanzas, ...ownNamed] : words),
    any?.flatMap((each) => wordsOfRules(each, ownNamed)),
    wordsOfOccupants(when, ownNamed),
    kind?.flatMap(wordsOfKind),
    stanza?.flatMap(wordsOfStanza),
    direction?.flatMap(wordsOfDirection),
    isOnlyMessages ? wordsOfStanza('message') : undefined,
    room === undefined ? undefined : [...wordsOfStanza('message'), 'rooms'],
  ];
  return words.filter((word) => rules.every((allowed) => allowed === undefined || allowed.includes(word)));
}

const membersWord: readonly Word[] = ['members'];

/** The words that `occupant` allows; undefined: all. Without it, absent members match if the rules around these or an alternative name them. */
function wordsOfOccupants({ occupant, any }: When, named: readonly Word[]): readonly Word[] | undefined {
  if (occupant === false) return membersWord;
  const mayBeAbsent = occupant === undefined && (any !== undefined || named.includes('members'));
  return mayBeAbsent ? undefined : words.filter((word) => word !== 'members');
}

/** The reports that a kind stands for. */
function wordsOfReports(kind: string): readonly Word[] {
  if (kind === 'life') return lifeWords;
  return kind === 'status' ? ['status'] : [];
}

function wordOfEvent(name: string): Word {
  if (lifeEvents.some((event) => event === name)) return name.startsWith('room-') ? 'rooms' : 'accounts';
  return words.find((word) => word === name) ?? 'message';
}

/** Copies for absent members are messages in a room, also for users who are offline. */
function wordsOfEvent(name: string): readonly Word[] {
  return name === 'groupchat' || name === 'offline' ? ['message', 'members'] : [wordOfEvent(name)];
}

function wordsOfKind(name: string): readonly Word[] {
  if (name === 'life') return lifeWords;
  const word = isRoomChange(name) ? 'presence' : words.find((word) => word === name);
  return word === undefined || word === 'message' ? wordsOfStanza('message') : [word];
}

function wordsOfStanza(name: string): readonly Word[] {
  if (name === 'iq') return ['iq'];
  return name === 'presence' ? ['presence', 'status', ...lifeWords] : ['message', 'unack', 'members'];
}

/** Reports count as `in`, but for `unack`, which is about the receiver of a message. */
function wordsOfDirection(name: string): readonly Word[] {
  return name === 'in' ? [...stanzas, 'status', ...lifeWords] : [...stanzas, 'unack', 'members'];
}
