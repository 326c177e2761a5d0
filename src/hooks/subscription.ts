import type { When } from '../config/config.ts';
import type { Direction, Subscription } from '../model/packet.ts';
import { isRoomChange } from '../packet/room.ts';
import * as defaults from './builtin/defaults.ts';
import type { LoadedHandler } from './handler.ts';

/** The words of a tap's attribute `want`, in the order in which they are written. */
const words = ['message', 'presence', 'iq', 'status', 'unack'] as const;
type Word = (typeof words)[number];

const stanzas: readonly Word[] = ['message', 'presence', 'iq'];
const messageTypes: ReadonlySet<string> = new Set(['chat', 'groupchat', 'headline', 'normal']);
const directions: readonly Direction[] = ['in', 'out'];

/**
 * The packets that any of the handlers may push. A handler without rules and with its own `shouldMakeReq` may push any stanza; reports
 * (`status`, `unack`) must be named. Without handlers: the default of a tap.
 */
export function subscriptionOf(handlers: readonly LoadedHandler[]): Subscription {
  const rules = handlers.map(rulesOf);
  return {
    want: union(words, rules.map(wordsOfRules)) || 'message',
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

/** The directions of the stanzas that may match: `out` if the receiver must be offline, since `in` has no sessions. */
function directionsOfRules(when: When): readonly string[] {
  if (!wordsOfRules(when).some((word) => stanzas.includes(word))) return [];
  const { direction = directions, event, offline } = when;
  const isOut = offline === true || event?.every((name) => name === 'offline' || !stanzas.includes(wordOfEvent(name))) === true;
  return direction.filter((name) => name === 'out' || !isOut);
}

/** The words that every rule allows. */
function wordsOfRules({ direction, stanza, type, kind, event, body }: When): readonly Word[] {
  const rules: (readonly Word[] | undefined)[] = [
    event?.map(wordOfEvent) ?? (kind?.includes('status') === true ? [...stanzas, 'status'] : stanzas),
    kind?.flatMap(wordsOfKind),
    stanza?.flatMap(wordsOfStanza),
    direction?.flatMap(wordsOfDirection),
    body === true || type?.every((name) => messageTypes.has(name)) === true ? wordsOfStanza('message') : undefined,
  ];
  return words.filter((word) => rules.every((allowed) => allowed === undefined || allowed.includes(word)));
}

function wordOfEvent(name: string): Word {
  return words.find((word) => word === name) ?? 'message';
}

function wordsOfKind(name: string): readonly Word[] {
  const word = isRoomChange(name) ? 'presence' : words.find((word) => word === name);
  return word === undefined || word === 'message' ? wordsOfStanza('message') : [word];
}

function wordsOfStanza(name: string): readonly Word[] {
  if (name === 'iq') return ['iq'];
  return name === 'presence' ? ['presence', 'status'] : ['message', 'unack'];
}

/** The report `status` is about a user who connected or disconnected (`in`), `unack` about a client that did not acknowledge (`out`). */
function wordsOfDirection(name: string): readonly Word[] {
  return name === 'in' ? [...stanzas, 'status'] : [...stanzas, 'unack'];
}
