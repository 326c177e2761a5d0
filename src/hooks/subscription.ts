import type { When } from '../config/config.ts';
import { isRoomChange } from '../packet/room.ts';
import * as defaults from './builtin/defaults.ts';
import type { LoadedHandler } from './handler.ts';

/** The words of a tap's attribute `want`, in the order in which they are written. */
const words = ['message', 'presence', 'iq', 'status', 'unack'] as const;
type Word = (typeof words)[number];

const stanzas: readonly Word[] = ['message', 'presence', 'iq'];
const messageTypes: ReadonlySet<string> = new Set(['chat', 'groupchat', 'headline', 'normal']);

/**
 * The packets that any of the handlers may push, as the value of a tap's `want`: the tap need not send others. A handler without rules and with
 * its own `shouldMakeReq` may push any stanza; reports (`status`, `unack`) must be named.
 */
export function subscriptionOf(handlers: readonly LoadedHandler[]): string {
  const subscribed = new Set(handlers.flatMap(wordsOfHandler));
  return words.filter((word) => subscribed.has(word)).join(' ') || 'message';
}

function wordsOfHandler({ config, builtIn, callbacks }: LoadedHandler): readonly Word[] {
  if (config.when !== undefined) return wordsOfRules(config.when);
  return builtIn || callbacks.shouldMakeReq === defaults.shouldMakeReq ? ['message'] : stanzas;
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
  switch (name) {
    case 'iq':
      return ['iq'];
    case 'presence':
      return ['presence', 'status'];
    default:
      return ['message', 'unack'];
  }
}

/** The report `status` is about a user who connected or disconnected (`in`), `unack` about a client that did not acknowledge (`out`). */
function wordsOfDirection(name: string): readonly Word[] {
  return name === 'in' ? [...stanzas, 'status'] : [...stanzas, 'unack'];
}
