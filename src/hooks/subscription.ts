import type { When } from '../config/config.ts';
import { isRoomChange } from '../packet/room.ts';
import * as defaults from './builtin/defaults.ts';
import type { LoadedHandler } from './handler.ts';

/** The words of a tap's `want`, in the order in which they are written. */
const words = ['message', 'presence', 'iq', 'status', 'unack'] as const;
type Word = (typeof words)[number];

const stanzas: readonly Word[] = ['message', 'presence', 'iq'];
const messageTypes: ReadonlySet<string> = new Set(['chat', 'groupchat', 'headline', 'normal']);

/**
 * What the handlers can want, as a tap's `want` says it: what nobody can want need not be sent. A handler without rules
 * and with a `shouldMakeReq` of its own can want any stanza; reports (`status`, `unack`) are wanted only by name.
 */
export function subscriptionOf(handlers: readonly LoadedHandler[]): string {
  const wanted = new Set(handlers.flatMap(wantedBy));
  return words.filter((word) => wanted.has(word)).join(' ') || 'message';
}

function wantedBy({ config, builtIn, callbacks }: LoadedHandler): readonly Word[] {
  if (config.when !== undefined) return wantedByRules(config.when);
  return builtIn || callbacks.shouldMakeReq === defaults.shouldMakeReq ? ['message'] : stanzas;
}

/** Each rule leaves what it can let through. */
function wantedByRules({ direction, stanza, type, kind, event, body }: When): readonly Word[] {
  const rules: (readonly Word[] | undefined)[] = [
    event?.map(wordOfEvent) ?? (kind?.includes('status') === true ? [...stanzas, 'status'] : stanzas),
    kind?.flatMap(wordsOfKind),
    stanza?.flatMap(wordsOfStanza),
    direction?.flatMap(wordsOfDirection),
    body === true || type?.every((name) => messageTypes.has(name)) === true ? wordsOfStanza('message') : undefined,
  ];
  return words.filter((word) => rules.every((left) => left === undefined || left.includes(word)));
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

/** A report is about a user who came or went (`in`), or about a client that was written to (`out`). */
function wordsOfDirection(name: string): readonly Word[] {
  return name === 'in' ? [...stanzas, 'status'] : [...stanzas, 'unack'];
}
