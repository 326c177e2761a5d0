import type { Element } from '@xmpp/client';
import { type Timers, within } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import type { OutgoingMessage, SendResult } from '../../model/delivery.ts';
import type { Stanza } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { element, isXmlText } from '../../packet/xml/element.ts';
import { isMarked, sentNs } from '../own-traffic.ts';
import { defaultSendMs, type Outbox } from '../source.ts';
import { toLibrary } from './parser.ts';

interface AccountOutboxOptions {
  /** The account's bare JID. */
  readonly jid: string;
  readonly queue: Pick<SendQueue, 'send'>;
  readonly readJid: JidReader;
  readonly timers: Timers;
}

/**
 * Sends an account's messages to users. The queue may still send a message whose time limit has passed; a second call with
 * the same id joins that message and does not send it twice.
 */
export class AccountOutbox implements Outbox {
  readonly #options: AccountOutboxOptions;
  readonly #own: string;
  readonly #unfinished = new Map<string, Promise<SendResult>>();

  constructor(options: AccountOutboxOptions) {
    this.#options = options;
    this.#own = options.readJid(options.jid).jid.bare;
  }

  readonly send: Outbox['send'] = async (message, { withinMs = defaultSendMs } = {}) => {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) return { kind: 'refused', reason: refusal };
    const result = this.#unfinished.get(message.id) ?? this.#begin(message);
    return (await within(result, withinMs, this.#options.timers)) ? await result : { kind: 'unconfirmed' };
  };

  /** Why a message cannot be sent at all. */
  #refusal({ from = this.#own, to, body }: OutgoingMessage): string | undefined {
    const { readJid } = this.#options;
    const receiver = readJid(to);
    if (readJid(from).jid.bare !== this.#own) return `${from} is not allowed as the sender: it must be ${this.#own}`;
    if (!receiver.prepared) return `${to} is no JID`;
    if (receiver.jid.bare === this.#own) return `${to} is this account itself`;
    return isXmlText(body) ? undefined : 'the text has a character that XML does not allow';
  }

  #begin({ id, to, body }: OutgoingMessage): Promise<SendResult> {
    const { queue, readJid } = this.#options;
    const stanza = element('message', { type: 'chat', id, to: readJid(to).jid.full }, [element('body', {}, [body])]);
    const result = queue.send(stanza).then((): SendResult => ({ kind: 'sent' }), resultOfError);
    this.#unfinished.set(id, result);
    void result.then(() => this.#unfinished.delete(id));
    return result;
  }
}

/** A message that was pending when the attachment stopped may have been sent before. */
function resultOfError(thrown: unknown): SendResult {
  return { kind: thrown instanceof ServiceError && thrown.code === 'OUTBOX_FULL' ? 'unsent' : 'unconfirmed' };
}

/** A session that messages go out on. */
interface SendSession {
  /** Whether the server acknowledges stanzas (XEP-0198); if not, a ping after them confirms them. */
  readonly acknowledges: () => boolean;
  readonly send: (sent: Element) => void;
  /** Resolves when the server has received all stanzas sent before. */
  readonly ping: () => Promise<unknown>;
}

interface Entry {
  readonly sent: Element;
  readonly bytes: number;
  readonly settled: Deferred<void>;
  /** Settled by the acknowledgements of the stream, even after a resumption. */
  counted: boolean;
}

/** Messages that wait for a session, and messages that are sent and unconfirmed: `maxBytes` at most. Outlives the sessions. */
export class SendQueue {
  readonly #maxBytes: number;
  #waiting: Entry[] = [];
  #unconfirmed: Entry[] = [];
  #bytes = 0;
  #session: SendSession | undefined;
  #ended = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Sends a message, now or in the next session; it is marked, so that no feed pushes it. Resolves when the server has
   * received it. Rejects with OUTBOX_FULL when too many messages wait, and with OUTBOX_CLOSED when the source stops first:
   * the message may have arrived nevertheless. After a broken connection the server may receive it twice, with the same `id`.
   */
  send(message: Stanza): Promise<void> {
    if (this.#ended) return Promise.reject(closed());
    const marked = isMarked(message) ? message : withMark(message);
    const bytes = Buffer.byteLength(marked.xml);
    if (this.#bytes + bytes > this.#maxBytes) return Promise.reject(full());
    const entry = { sent: toLibrary(marked), bytes, settled: createDeferred<void>(), counted: false };
    this.#bytes += bytes;
    this.#waiting.push(entry);
    this.#flush();
    return entry.settled.promise;
  }

  /** A session is up. */
  open(session: SendSession): void {
    this.#session = session;
    this.#flush();
  }

  /** The session is gone; `resumable`: the next connection sends its unacknowledged stanzas again. */
  close({ resumable }: { readonly resumable: boolean }): void {
    this.#session = undefined;
    this.#putBack(this.#unconfirmed.filter(({ counted }) => !resumable || !counted));
  }

  settled(sent: Element, outcome: 'acknowledged' | 'lost'): void {
    const entries = this.#unconfirmed.filter((entry) => entry.sent === sent);
    if (outcome === 'acknowledged') this.#confirm(entries);
    else this.#putBack(entries);
  }

  /** Ends the queue: pending messages are rejected. */
  end(): void {
    this.#ended = true;
    for (const { settled } of [...this.#unconfirmed, ...this.#waiting]) settled.reject(closed());
    [this.#unconfirmed, this.#waiting, this.#bytes] = [[], [], 0];
  }

  #flush(): void {
    const session = this.#session;
    if (session === undefined || this.#waiting.length === 0) return;
    const entries = this.#waiting;
    this.#waiting = [];
    this.#unconfirmed.push(...entries);
    const counted = session.acknowledges();
    for (const entry of entries) {
      entry.counted = counted;
      session.send(entry.sent);
    }
    if (counted) return;
    session.ping().then(
      () => this.#confirm(entries),
      () => undefined, // the end of the session puts them back
    );
  }

  #confirm(entries: readonly Entry[]): void {
    const confirmed = new Set(entries.filter((entry) => this.#unconfirmed.includes(entry)));
    this.#unconfirmed = this.#unconfirmed.filter((entry) => !confirmed.has(entry));
    for (const entry of confirmed) {
      this.#bytes -= entry.bytes;
      entry.settled.resolve();
    }
  }

  #putBack(entries: readonly Entry[]): void {
    this.#unconfirmed = this.#unconfirmed.filter((entry) => !entries.includes(entry));
    this.#waiting = [...entries, ...this.#waiting];
  }
}

function withMark(message: Stanza): Stanza {
  const attrs = { xmlns: 'jabber:client', ...message.attrs };
  return element(message.name, attrs, [...message.children, element('sent', { xmlns: sentNs })]);
}

function full(): ServiceError {
  return new ServiceError('OUTBOX_FULL', 'too many messages wait for a connection to the chat server');
}

function closed(): ServiceError {
  return new ServiceError('OUTBOX_CLOSED', 'the attachment was stopped before the chat server had confirmed the message');
}
