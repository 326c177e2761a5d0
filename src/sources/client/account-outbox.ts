/**
 * What an account sends to users, through the way out that outlives its connections. A message that was given up here may
 * leave yet; so one that comes again under its id meanwhile is the same message, and does not leave twice.
 */

import { type Timers, within } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import type { OutgoingMessage, SendResult as Sent } from '../../model/delivery.ts';
import type { Stanza } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { element, isXmlText } from '../../packet/xml/element.ts';
import type { MessageOutlet } from '../outlet.ts';
import type { Outbox } from '../source.ts';

export interface AccountOutboxOptions {
  /** The account's bare JID. */
  readonly jid: string;
  readonly outlet: MessageOutlet;
  readonly readJid: JidReader;
  readonly timers: Timers;
}

const defaultWithinMs = 10_000;

export function createAccountOutbox({ jid, outlet, readJid, timers }: AccountOutboxOptions): Outbox {
  const own = readJid(jid).jid.bare;
  const underWay = new Map<string, Promise<Sent>>();

  async function send(message: OutgoingMessage, { withinMs = defaultWithinMs } = {}): Promise<Sent> {
    const refusal = refusalOf(message);
    if (refusal !== undefined) return { kind: 'refused', reason: refusal };
    const sent = underWay.get(message.id) ?? begin(message);
    return (await within(sent, withinMs, timers)) ? await sent : { kind: 'unconfirmed' };
  }

  /** Why it cannot be sent at all. */
  function refusalOf({ from = own, to, body }: OutgoingMessage): string | undefined {
    const receiver = readJid(to);
    if (readJid(from).jid.bare !== own) return `${from} is no sender here: it must be ${own}`;
    if (!receiver.prepared) return `${to} is no JID`;
    if (receiver.jid.bare === own) return `${to} is ourselves`;
    return isXmlText(body) ? undefined : 'the text has a character that XML cannot carry';
  }

  function begin(message: OutgoingMessage): Promise<Sent> {
    const sent = outlet.send(stanzaOf(message)).then((): Sent => ({ kind: 'sent' }), endOf);
    underWay.set(message.id, sent);
    void sent.then(() => underWay.delete(message.id));
    return sent;
  }

  function stanzaOf({ id, to, body }: OutgoingMessage): Stanza {
    return element('message', { type: 'chat', id, to: readJid(to).jid.full }, [element('body', {}, [body])]);
  }

  return { send };
}

/** What waits for a connection when the attachment stops may have left before. */
function endOf(thrown: unknown): Sent {
  return { kind: thrown instanceof ServiceError && thrown.code === 'OUTBOX_FULL' ? 'unsent' : 'unconfirmed' };
}
