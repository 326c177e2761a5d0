/**
 * `mod_event_pusher_http_cloudevents`: the object of the JSON module as the data of a CloudEvent 1.0 in structured JSON
 * (HTTP Protocol Binding §3.2).
 *
 * - `type` is `im.xmpp.`, the name of the stanza (or of the report), and the direction: `im.xmpp.message.in`.
 * - `source` is the local virtual host: `xmpp://localhost`.
 * - `subject` is the bare JID of the local user: the sender of incoming packets, the receiver of outgoing ones; of a life event, the room or user
 *   concerned.
 * - `partitionkey` (Partitioning extension) is the conversation: events with the same key should be handled in order.
 */
import type { HeaderPair, RequestPrepared } from '../../../pools/callbacks.ts';
import { isReport } from '../../packet/kind.ts';
import { conversationOf } from '../delivery-factory.ts';
import { packetObject } from './json.ts';

export { selection, shouldMakeReq } from './json.ts';

export const headers: readonly HeaderPair[] = [['content-type', 'application/cloudevents+json; charset=utf-8']];

export function prepareHeaders(): readonly HeaderPair[] {
  return headers;
}

export function prepareBody(prepared: Omit<RequestPrepared, 'opts'>): string {
  const { acc, dir, packet, from, to } = prepared;

  return JSON.stringify({
    specversion: '1.0',
    id: acc.id,
    source: `xmpp://${encodeURIComponent(acc.host)}`,
    type: `im.xmpp.${isReport(acc.event) ? acc.event : packet.name}.${dir}`,
    time: acc.time,
    subject: dir === 'in' ? from.bare : to.bare,
    partitionkey: conversationOf({ direction: dir, event: acc.event, stanza: packet, from, to }),
    datacontenttype: 'application/json',
    data: packetObject(prepared),
  });
}
