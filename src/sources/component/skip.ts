import type { Stanza } from '../../model/packet.ts';
import { isNothingBut } from '../../packet/kind.ts';
import { withoutMucSub } from '../../packet/muc-sub.ts';
import { localName } from '../../packet/xml/element.ts';
import { domainOf, type IsOwn } from '../own-traffic.ts';
import type { SkipReason } from './feed-options.ts';

const archive: ReadonlySet<string> = new Set(['urn:xmpp:mam:0', 'urn:xmpp:mam:1', 'urn:xmpp:mam:2', 'urn:xmpp:mam:tmp']);
const carbons = 'urn:xmpp:carbons:2';

/**
 * Why a stanza is no event of its own, on any feed: it is our own traffic; an answer of an archive (XEP-0313), which
 * would push old messages again; a carbon (XEP-0280), whose original is seen anyway; an error, which is about another
 * stanza. Undefined when it is one. A copy comes from the account's own address, or is nothing else: by the elements
 * alone anybody could hide a message. `receives`: what is addressed to us is an event here (the bot's feed).
 */
export function reasonToSkip(seen: Stanza, own: OwnSide): SkipReason | undefined {
  const stanza = withoutMucSub(seen);
  if (own.isOwn(stanza)) return 'own';
  if (!own.receives && domainOf(stanza.attrs['to']) === own.domain) return 'own';
  if (stanza.attrs['type'] === 'error') return 'error';
  return copies(stanza).find((reason) => isOfOwnAccount(stanza) || isNothingBut(stanza, (child) => reasonOfCopy(child) === reason));
}

/** The kinds of copy that its children indicate, without duplicates. */
function copies(stanza: Stanza): SkipReason[] {
  const reasons = new Set<SkipReason>();
  for (const child of stanza.children) {
    const reason = typeof child === 'string' ? undefined : reasonOfCopy(child);
    if (reason !== undefined) reasons.add(reason);
  }
  return [...reasons];
}

/** What a feed knows of its own side. */
export interface OwnSide {
  /** Of the component. */
  readonly domain: string;
  readonly receives: boolean;
  readonly isOwn: IsOwn;
}

function reasonOfCopy({ name, ns }: Stanza): 'archive' | 'carbon' | undefined {
  const word = localName(name);
  if (archive.has(ns) && (word === 'result' || word === 'fin')) return 'archive';
  return ns === carbons && (word === 'received' || word === 'sent') ? 'carbon' : undefined;
}

function isOfOwnAccount({ attrs: { from, to = '' } }: Stanza): boolean {
  return from === undefined || bareOf(from) === bareOf(to);
}

function bareOf(jid: string): string {
  const slash = jid.indexOf('/');
  return (slash < 0 ? jid : jid.slice(0, slash)).toLowerCase();
}
