import type { When } from '../config/config.ts';
import * as defaults from './builtin/defaults.ts';
import type { LoadedHandler } from './handler.ts';

const stanzas = ['message', 'presence', 'iq'] as const;
const messageTypes: ReadonlySet<string> = new Set(['chat', 'groupchat', 'headline', 'normal']);

/**
 * The stanzas that the handlers can want, as a tap's `want` says them: what nobody can want need not be sent. A handler
 * without rules and with a `shouldMakeReq` of its own can want anything.
 */
export function wantOf(handlers: readonly LoadedHandler[]): string {
  const wanted = new Set(handlers.flatMap(wantedBy));
  return stanzas.filter((stanza) => wanted.has(stanza)).join(' ') || 'message';
}

function wantedBy({ config, builtIn, callbacks }: LoadedHandler): readonly string[] {
  if (config.when !== undefined) return wantedByRules(config.when);
  return builtIn || callbacks.shouldMakeReq === defaults.shouldMakeReq ? ['message'] : stanzas;
}

function wantedByRules({ stanza, type, kind, body }: When): readonly string[] {
  if (stanza !== undefined) return stanza;
  const onlyMessages = body === true || type?.every((name) => messageTypes.has(name)) === true;
  if (onlyMessages) return ['message'];
  return kind === undefined ? stanzas : kind.map((name) => (onPresence.has(name) ? 'presence' : name === 'iq' ? name : 'message'));
}

const onPresence: ReadonlySet<string> = new Set(['presence', 'room-destroyed', 'room-left', 'room-removed', 'status']);
