import type { PacketId, Stanza } from '../../../model/packet.ts';
import type { JidReader } from '../../../packet/jid.ts';
import { element } from '../../../packet/xml/element.ts';
import { overloaded } from '../answer.ts';
import { readText } from './read-text.ts';
import { refuse, type Unit } from './unit.ts';

export interface PushOptions {
  readonly hosts: readonly string[];
  readonly readJid: JidReader;
  readonly newPacketId: () => PacketId;
  /** Hands the message over; whether it was on disk in time, undefined where too much waits for the disk already. */
  hand(stanza: Stanza, seen: { readonly id: PacketId; readonly host: string; readonly bytes: number }): Promise<boolean> | undefined;
}

const late = { status: 503, headers: { 'retry-after': '1' }, reason: 'overloaded' } as const;

/** PUSH: a sender's JID, a receiver's JID and a text become a chat message that the sender, a user of ours, has sent. Puts its id. */
export function createPushUnit({ hosts, readJid, newPacketId, hand }: PushOptions): Unit {
  return async ({ mget, mgetRest, mput }) => {
    const [sender, receiver] = [readText(await mget()), readText(await mget())];
    const text = await mgetRest();
    const body = readText(text);
    if (sender === undefined || receiver === undefined || body === undefined) return refuse('a part is not UTF-8 that XML can carry');

    const [from, to] = [readJid(sender), readJid(receiver)];
    if (!from.prepared) return refuse('the sender is no JID');
    if (!to.prepared) return refuse('the receiver is no JID');
    const host = from.jid.server;
    if (!hosts.includes(host)) return refuse(`${host} is no host of this attachment`, { status: 403, reason: 'unknown-host' });

    const id = newPacketId();
    const attrs = { xmlns: 'jabber:client', type: 'chat', id, from: from.jid.full, to: to.jid.full };
    mput(id);
    const commit = async () => {
      const landed = hand(element('message', attrs, [element('body', {}, [body])]), { id, host, bytes: text.length });
      if (landed === undefined) return overloaded;
      return (await landed) ? undefined : { ...late, text: `${id} is taken, but not on disk yet: it may be pushed, once` };
    };
    return { kind: 'done', commit };
  };
}
