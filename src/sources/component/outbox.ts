/**
 * Sends a component's messages to users. A message waits for a stream, goes out followed by a ping, and is settled by the
 * first response: an error by the server means refused, the ping's response without an error before it means sent. Messages
 * that a stream has not confirmed when it ends go out again on the next stream.
 *
 * A component may send from its own domain only; by that domain every feed recognises our messages, and pushes none of them.
 */
import type { Timers } from '../../kit/clock.ts';
import type { OutgoingMessage, SendResult } from '../../model/delivery.ts';
import type { Stanza } from '../../model/packet.ts';
import { domainOf, type JidReader } from '../../packet/jid.ts';
import { element, findChild, isXmlText, toXml } from '../../packet/xml/element.ts';
import { defaultSendMs, type Outbox } from '../source.ts';
import { errorCondition, isResponse, pingElement } from '../xmpp-stream.ts';
import type { StreamOutbox } from './connection.ts';
import type { Outlet } from './feed.ts';

interface ComponentOutboxOptions {
  /** The component's own domain. */
  readonly domain: string;
  /** The address that is pinged: a host of the server. */
  readonly pingTo: string;
  readonly readJid: JidReader;
  readonly timers: Timers;
}

interface Pending {
  readonly xml: string;
  /** The receiver's domain: an error from another domain is about something else. */
  readonly domain: string;
  written: boolean;
  settle(result: SendResult): void;
}

/** Maximum number of messages that wait or are unconfirmed. */
const maxPending = 1000;
const pingPrefix = 'sent-';

export class ComponentOutbox implements StreamOutbox {
  readonly #options: ComponentOutboxOptions;
  readonly #pending = new Map<string, Pending>();
  /** The streams that are up; the first is in use. */
  #outlets: readonly Outlet[] = [];
  #closed = false;

  constructor(options: ComponentOutboxOptions) {
    this.#options = options;
  }

  readonly send: Outbox['send'] = (message, { withinMs = defaultSendMs } = {}) => {
    const { readJid, timers } = this.#options;
    const refusal = this.#refusal(message);
    if (refusal !== undefined) return Promise.resolve({ kind: 'refused', reason: refusal });
    if (this.#closed || this.#pending.size >= maxPending) return Promise.resolve({ kind: 'unsent' });

    return new Promise((resolve) => {
      const { id } = message;
      const cancel = timers.after(withinMs, () => giveUp(pending));
      const pending: Pending = {
        xml: toXml(this.#toStanza(message)),
        domain: readJid(message.to).jid.server,
        written: false,
        settle: (result) => {
          cancel();
          this.#pending.delete(id);
          resolve(result);
        },
      };
      this.#pending.set(id, pending);
      this.#write(id, pending);
    });
  };

  attached(outlet: Outlet): void {
    this.#use([...this.#outlets, outlet]);
  }

  detached(outlet: Outlet): void {
    this.#use(this.#outlets.filter((other) => other !== outlet));
  }

  close(): void {
    this.#closed = true;
    for (const message of this.#pending.values()) giveUp(message);
  }

  consumes(stanza: Stanza): boolean {
    return this.#isPingResponse(stanza) || this.#isReturned(stanza);
  }

  /** Why a message cannot be sent at all. */
  #refusal({ id, from, to, body }: OutgoingMessage): string | undefined {
    const { domain, readJid } = this.#options;
    const sender = readJid(from ?? domain);
    const receiver = readJid(to);
    if (this.#pending.has(id)) return `a message with the id ${id} is already being sent`;
    if (!sender.prepared || sender.jid.server !== domain)
      return `${from} is not allowed as the sender: it must be ${domain}, or a JID at it`;
    if (!receiver.prepared) return `${to} is no JID`;
    if (receiver.jid.server === domain) return `${to} is this component itself`;
    return isXmlText(body) ? undefined : 'the text has a character that XML does not allow';
  }

  #toStanza({ id, from = this.#options.domain, to, body }: OutgoingMessage): Stanza {
    const { readJid } = this.#options;
    const attrs = { type: 'chat', id, from: readJid(from).jid.full, to: readJid(to).jid.full };
    return element('message', attrs, [element('body', {}, [body])]);
  }

  #write(id: string, message: Pending): void {
    const [outlet] = this.#outlets;
    if (outlet === undefined) return;
    const { domain, pingTo } = this.#options;
    message.written = true;
    outlet.send(message.xml);
    outlet.send(toXml(element('iq', { type: 'get', id: `${pingPrefix}${id}`, from: domain, to: pingTo }, [pingElement()])));
  }

  /** Messages that the previous stream has not confirmed go out again on its successor. */
  #use(next: readonly Outlet[]): void {
    const changes = next[0] !== this.#outlets[0];
    this.#outlets = next;
    if (changes) for (const [id, message] of this.#pending) this.#write(id, message);
  }

  /** Any response counts, an error too: it arrives after any error that the message itself has caused. */
  #isPingResponse(stanza: Stanza): boolean {
    const { id = '' } = stanza.attrs;
    if (!isResponse(stanza) || !id.startsWith(pingPrefix)) return false;
    this.#pending.get(id.slice(pingPrefix.length))?.settle({ kind: 'sent' });
    return true;
  }

  #isReturned(stanza: Stanza): boolean {
    const { id = '', type, from } = stanza.attrs;
    const message = stanza.name === 'message' && type === 'error' ? this.#pending.get(id) : undefined;
    if (message === undefined || message.domain !== domainOf(from)) return false;
    message.settle({ kind: 'refused', reason: `${from} cannot be reached: ${describeError(stanza)}` });
    return true;
  }
}

function giveUp(message: Pending): void {
  message.settle({ kind: message.written ? 'unconfirmed' : 'unsent' });
}

function describeError(stanza: Stanza): string {
  const text = findChild(stanza, 'error')?.text('text') ?? '';
  return `${errorCondition(stanza) ?? 'undefined-condition'}${text === '' ? '' : ` (${text})`}`;
}
