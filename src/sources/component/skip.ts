import type { Stanza } from '../../../pools/contract.ts';
import { isNothingBut } from '../../packet/nothing-but.ts';
import { localName } from '../../packet/xml/element.ts';
import type { SkipReason } from './feed-options.ts';

const archive: ReadonlySet<string> = new Set(['urn:xmpp:mam:0', 'urn:xmpp:mam:1', 'urn:xmpp:mam:2', 'urn:xmpp:mam:tmp']);
const carbons = 'urn:xmpp:carbons:2';

/**
 * Why a stanza is no event of its own, on any feed: it is our own traffic; an answer of an archive (XEP-0313), which
 * would push old messages again; a carbon (XEP-0280), whose original is seen anyway; an error, which is about another
 * stanza. Undefined when it is one. A copy comes from the account's own address, or is nothing else: by the elements
 * alone anybody could hide a message. `receives`: what is addressed to us is an event here (the bot's feed).
 */
export function reasonToSkip(stanza: Stanza, own: { readonly domain: string; readonly receives: boolean }): SkipReason | undefined {
  if (domainOf(stanza.attrs['from']) === own.domain) return 'own';
  if (!own.receives && domainOf(stanza.attrs['to']) === own.domain) return 'own';
  if (stanza.attrs['type'] === 'error') return 'error';
  for (const child of stanza.children) {
    const reason = typeof child === 'string' ? undefined : reasonOfCopy(child);
    if (reason !== undefined && (isOfOwnAccount(stanza) || isNothingBut(stanza, (other) => reasonOfCopy(other) === reason))) return reason;
  }
  return undefined;
}

function reasonOfCopy({ name, ns }: Stanza): 'archive' | 'carbon' | undefined {
  const word = localName(name);
  if (archive.has(ns) && (word === 'result' || word === 'fin')) return 'archive';
  return ns === carbons && (word === 'received' || word === 'sent') ? 'carbon' : undefined;
}

function isOfOwnAccount({ attrs: { from, to = '' } }: Stanza): boolean {
  return from === undefined || bareOf(from) === bareOf(to);
}

/** The domain of a JID as it is written, in lower case; enough to tell our own name. */
export function domainOf(jid = ''): string {
  const bare = bareOf(jid);
  return bare.slice(bare.indexOf('@') + 1);
}

function bareOf(jid: string): string {
  const slash = jid.indexOf('/');
  return (slash < 0 ? jid : jid.slice(0, slash)).toLowerCase();
}
