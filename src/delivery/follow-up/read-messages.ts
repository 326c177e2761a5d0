import { asMap, asObject } from '../../kit/json.ts';
import type { XmppTarget } from '../../model/delivery.ts';
import type { IgnoredReason } from '../../telemetry/events.ts';

/** A message to a user that an answer orders. */
export interface OrderedMessage {
  readonly target: XmppTarget;
  readonly text: string;
}

export type Payload =
  | { readonly kind: 'ignored'; readonly reason: IgnoredReason }
  | { readonly kind: 'messages'; readonly messages: readonly OrderedMessage[] };

/** What receivers and senders are completed with. */
export interface Correspondence {
  readonly replyFrom: string | undefined;
  readonly defaultHost: string;
}

/** One answer may order so many messages; what is beyond is one dead letter that says so. */
export const mostMessages = 100;

const nothing: Payload = { kind: 'messages', messages: [] };

/**
 * Reads the `payload` of an answer (SMSSync): `task` `send` with `messages`, each with `to` and `message`. Without a task
 * nothing is asked for; `success: false` takes it all back.
 */
export function readPayload(payload: unknown, correspondence: Correspondence): Payload {
  const given = asMap(payload);
  if (given === undefined) return { kind: 'ignored', reason: 'malformed' };
  const { success, task, messages = [] } = given;
  if (success === false || success === 'false') return { kind: 'ignored', reason: 'declined' };
  if (task === undefined || task === null) return nothing;
  if (task !== 'send') return { kind: 'ignored', reason: 'unknown-task' };
  if (!Array.isArray(messages)) return { kind: 'ignored', reason: 'malformed' };
  const read = messages.slice(0, mostMessages).map((message) => readMessage(message, correspondence));
  return { kind: 'messages', messages: messages.length > mostMessages ? [...read, leftOut(messages.length - mostMessages)] : read };
}

function readMessage(message: unknown, { replyFrom: from, defaultHost }: Correspondence): OrderedMessage {
  const { to, message: text } = asObject(message) ?? {};
  const receiver = typeof to === 'string' ? receiverOf(to, defaultHost) : { to: '', fault: 'to must be text' };
  const fault = receiver.fault ?? (typeof text === 'string' && text !== '' ? undefined : 'message must be text');
  return {
    target: { kind: 'xmpp', from, to: receiver.to, ...(fault === undefined ? {} : { fault }) },
    text: typeof text === 'string' ? text : '',
  };
}

/**
 * A JID as it is; a local part alone is a user of `defaultHost`. Telephone numbers are no local parts: who was written for
 * another gateway than ours means somebody else. The reason names nobody: it is shown to who may not see receivers.
 */
function receiverOf(to: string, defaultHost: string): { readonly to: string; readonly fault?: string } {
  if (/^\+[\d\s()./-]+$/.test(to)) return { to, fault: 'to is a telephone number and no JID' };
  const jid = to.includes('@') ? to : `${to}@${defaultHost}`;
  return jidForm.test(jid) ? { to: jid } : { to, fault: 'to is no JID' };
}

/** The coarse form of a user's JID (RFC 7622 §3.1); whether there is such a user is the chat server's to say. */
const jidForm = /^[^\s"&'/:<>@]{1,1023}@[^\s"&'/<>@]{1,1023}(\/.{1,1023})?$/u;

function leftOut(count: number): OrderedMessage {
  const fault = `an answer may order ${mostMessages} messages: ${count} more were left out`;
  return { target: { kind: 'xmpp', from: undefined, to: '', fault }, text: '' };
}
