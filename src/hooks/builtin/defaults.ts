/**
 * `mod_event_pusher_http_defaults`: the module a handler has when it names none, and the one that fills in what another
 * module leaves out. It does what MongooseIM's module of this name does.
 */
import type { HeaderPair, PacketAsked, RequestPrepared } from '../../../pools/callbacks.ts';
import { encodeFormValue as encoded } from './form.ts';

const headers: readonly HeaderPair[] = [['content-type', 'application/x-www-form-urlencoded']];

/** Messages that a local user sent, of type exactly `chat`, whose first `<body>` is not empty. A handler's `when` takes this test's place. */
export function shouldMakeReq({ dir, packet }: PacketAsked): boolean {
  return dir === 'in' && packet.name === 'message' && packet.attrs['type'] === 'chat' && packet.text('body') !== '';
}

export function prepareHeaders(): readonly HeaderPair[] {
  return headers;
}

/** The form `author`, `server`, `receiver`, `message`, in this order. */
export function prepareBody({ host, message, sender, receiver }: RequestPrepared): string {
  return `author=${encoded(sender)}&server=${encoded(host)}&receiver=${encoded(receiver)}&message=${encoded(message)}`;
}
