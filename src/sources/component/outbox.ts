/**
 * What a component sends to users. A message waits for a stream, goes out with a ping behind it, and is settled by what
 * comes back: an error by the server is a refusal, the ping's answer without one means that it was taken. What a stream
 * has not confirmed when it ends goes out again on the next.
 *
 * A component speaks for its own domain alone; by that domain every feed knows what is our own, and pushes none of it.
 */

import type { Timers } from '../../kit/clock.ts';
import type { Stanza } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { element, findChild, isXmlText, toXml } from '../../packet/xml/element.ts';
import type { Outbox, OutgoingMessage, Sent } from '../outbox.ts';
import { domainOf } from '../own-traffic.ts';
import type { Outlet } from './feed.ts';

export interface ComponentOutboxOptions {
  /** The component's own domain. */
  readonly domain: string;
  /** Who is pinged: a host of the server. */
  readonly pingTo: string;
  readonly readJid: JidReader;
  readonly timers: Timers;
}

export interface ComponentOutbox extends Outbox {
  /** A stream is up, perhaps beside others. */
  attached(outlet: Outlet): void;
  /** That stream is gone, if it ever was up. */
  detached(outlet: Outlet): void;
  /** No stream will come any more: what waits is told so. */
  close(): void;
  /** Whether a stanza is about what was sent; then it is nothing for a feed. */
  takes(stanza: Stanza): boolean;
}

/** One message on its way. */
interface Pending {
  readonly xml: string;
  /** The receiver's domain, which an error must come from. */
  readonly domain: string;
  written: boolean;
  settle(sent: Sent): void;
}

const defaultWithinMs = 10_000;
/** So many messages may be on their way at once. */
const maxPending = 1000;
const pingPrefix = 'sent-';

export function createComponentOutbox({ domain, pingTo, readJid, timers }: ComponentOutboxOptions): ComponentOutbox {
  const pending = new Map<string, Pending>();
  /** The streams that are up; the first is the one in use. */
  let outlets: readonly Outlet[] = [];
  let closed = false;

  function send(message: OutgoingMessage, { withinMs = defaultWithinMs } = {}): Promise<Sent> {
    const refusal = refusalOf(message);
    if (refusal !== undefined) return Promise.resolve({ kind: 'refused', reason: refusal });
    if (closed || pending.size >= maxPending) return Promise.resolve({ kind: 'unsent' });

    return new Promise((resolve) => {
      const { id } = message;
      const callOff = timers.after(withinMs, () => giveUp(sent));
      const sent: Pending = {
        xml: toXml(stanzaOf(message)),
        domain: readJid(message.to).jid.server,
        written: false,
        settle: (end) => {
          callOff();
          pending.delete(id);
          resolve(end);
        },
      };
      pending.set(id, sent);
      write(id, sent);
    });
  }

  function giveUp(message: Pending): void {
    message.settle({ kind: message.written ? 'unconfirmed' : 'unsent' });
  }

  /** Why it cannot be sent at all. */
  function refusalOf({ id, from, to, body }: OutgoingMessage): string | undefined {
    const sender = readJid(from ?? domain);
    const receiver = readJid(to);
    if (pending.has(id)) return `a message with the id ${id} is on its way already`;
    if (!sender.prepared || sender.jid.server !== domain) return `${from} is no sender here: it must be ${domain}, or a name at it`;
    if (!receiver.prepared) return `${to} is no JID`;
    if (receiver.jid.server === domain) return `${to} is ourselves`;
    return isXmlText(body) ? undefined : 'the text has a character that XML cannot carry';
  }

  function stanzaOf({ id, from = domain, to, body }: OutgoingMessage): Stanza {
    const attrs = { type: 'chat', id, from: readJid(from).jid.full, to: readJid(to).jid.full };
    return element('message', attrs, [element('body', {}, [body])]);
  }

  function write(id: string, message: Pending): void {
    const [outlet] = outlets;
    if (outlet === undefined) return;
    message.written = true;
    outlet.send(message.xml);
    const attrs = { type: 'get', id: `${pingPrefix}${id}`, from: domain, to: pingTo };
    outlet.send(toXml(element('iq', attrs, [element('ping', { xmlns: 'urn:xmpp:ping' })])));
  }

  /** What the stream before has not confirmed goes out again on the one that takes its place. */
  function use(next: readonly Outlet[]): void {
    const changes = next[0] !== outlets[0];
    outlets = next;
    if (changes) for (const [id, message] of pending) write(id, message);
  }

  /** Any answer will do, an error too: it comes behind whatever the message itself has caused. */
  function answered({ name, attrs }: Stanza): boolean {
    const { id = '', type } = attrs;
    if (name !== 'iq' || (type !== 'result' && type !== 'error') || !id.startsWith(pingPrefix)) return false;
    pending.get(id.slice(pingPrefix.length))?.settle({ kind: 'sent' });
    return true;
  }

  function bounced(stanza: Stanza): boolean {
    const { id = '', type, from } = stanza.attrs;
    const message = stanza.name === 'message' && type === 'error' ? pending.get(id) : undefined;
    if (message === undefined || message.domain !== domainOf(from)) return false;
    message.settle({ kind: 'refused', reason: `${from} cannot be reached: ${conditionOf(stanza)}` });
    return true;
  }

  return {
    send,
    attached: (next) => use([...outlets, next]),
    detached: (gone) => use(outlets.filter((outlet) => outlet !== gone)),
    close: () => {
      closed = true;
      for (const message of pending.values()) giveUp(message);
    },
    takes: (stanza) => answered(stanza) || bounced(stanza),
  };
}

/** RFC 6120 §8.3.3. */
function conditionOf(stanza: Stanza): string {
  const error = findChild(stanza, 'error');
  const named = error?.children.find((child): child is Stanza => typeof child !== 'string' && child.name !== 'text');
  const text = error?.text('text') ?? '';
  return `${named?.name ?? 'undefined-condition'}${text === '' ? '' : ` (${text})`}`;
}
