import type { PacketId } from '../../../model/packet.ts';
import type { Outbox } from '../../source.ts';
import type { Refusal } from '../answer.ts';
import { readText } from './read-text.ts';
import { refuse, type Unit } from './unit.ts';

export interface SendOptions {
  readonly newPacketId: () => PacketId;
  readonly outbox: Outbox | undefined;
}

/** SENDMSG: a receiver's JID and a text become a chat message from us, once the response is known to be there. Puts its id. */
export function createSendUnit({ newPacketId, outbox }: SendOptions): Unit {
  return async ({ mget, mgetRest, mput }) => {
    const [to, body] = [readText(await mget()), readText(await mgetRest())];
    if (to === undefined || body === undefined) return refuse('a part is not UTF-8 that XML can carry');
    const id = newPacketId();
    mput(id);
    return { kind: 'done', commit: () => send(outbox, { id, to, body }) };
  };
}

async function send(
  outbox: Outbox | undefined,
  message: { readonly id: string; readonly to: string; readonly body: string },
): Promise<Refusal | undefined> {
  const sent = await outbox?.send(message);
  switch (sent?.kind) {
    case 'sent':
      return undefined;
    case 'refused':
      return { status: 422, reason: 'malformed', text: sent.reason };
    case 'unconfirmed':
      return { status: 503, reason: 'overloaded', text: 'the message was sent, but the chat server has not confirmed it in time' };
    case 'unsent':
    case undefined:
      return { status: 503, headers: { 'retry-after': '1' }, reason: 'overloaded', text: 'not sent: the chat server cannot be reached' };
    default:
      return sent satisfies never;
  }
}
