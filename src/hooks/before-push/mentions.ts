import type { Jid, Stanza } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { findChildren } from '../../packet/xml/element.ts';

/** Whom a message mentions (XEP-0372 §3.2), in their order; what is no JID is nobody. */
export function mentionsIn(message: Stanza, readJid: JidReader): readonly Jid[] {
  return findChildren(message, 'reference', 'urn:xmpp:reference:0')
    .filter(({ attrs }) => attrs['type'] === 'mention')
    .flatMap(({ attrs }) => jidIn(attrs['uri'] ?? '', readJid) ?? []);
}

/** The JID in an `xmpp:` URI without an authority (RFC 5122 §2.2). */
function jidIn(uri: string, readJid: JidReader): Jid | undefined {
  const [, path = ''] = /^xmpp:([^?#]+)/i.exec(uri) ?? [];
  const decoded = decode(path);
  if (decoded === undefined || decoded === '' || decoded.startsWith('/')) return undefined;
  const { jid, prepared } = readJid(decoded);
  return prepared ? jid : undefined;
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined; // a stray %: whoever wrote it did not mean a JID
  }
}
