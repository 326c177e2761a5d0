import type { Stanza } from '../../../pools/contract.ts';
import { localName } from '../../packet/xml/element.ts';
import { domainOf, type IsOwn } from '../own-traffic.ts';
import type { SkipReason } from './feed-options.ts';

const archive: ReadonlySet<string> = new Set(['urn:xmpp:mam:0', 'urn:xmpp:mam:1', 'urn:xmpp:mam:2', 'urn:xmpp:mam:tmp']);
const carbons = 'urn:xmpp:carbons:2';
const copied: ReadonlySet<string> = new Set([...archive, carbons]);

/**
 * Why a stanza is no event of its own, on any feed: it is our own traffic; an answer of an archive (XEP-0313), which
 * would push old messages again; a carbon (XEP-0280), whose original is seen anyway; an error, which is about another
 * stanza. Undefined when it is one. `receives`: what is addressed to us is an event here (the bot's feed).
 */
export function reasonToSkip(stanza: Stanza, own: OwnSide): SkipReason | undefined {
  if (own.isOwn(stanza)) return 'own';
  if (!own.receives && domainOf(stanza.attrs['to']) === own.domain) return 'own';
  if (stanza.attrs['type'] === 'error') return 'error';
  for (const child of stanza.children) {
    if (typeof child === 'string' || !copied.has(child.ns)) continue;
    const name = localName(child.name);
    if (archive.has(child.ns) && (name === 'result' || name === 'fin')) return 'archive';
    if (child.ns === carbons && (name === 'received' || name === 'sent')) return 'carbon';
  }
  return undefined;
}

/** What a feed knows of its own side. */
interface OwnSide {
  /** Of the component. */
  readonly domain: string;
  readonly receives: boolean;
  readonly isOwn: IsOwn;
}
