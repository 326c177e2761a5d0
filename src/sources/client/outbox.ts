import type { Element } from '@xmpp/client';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import type { Stanza } from '../../model/packet.ts';
import { element } from '../../packet/xml/element.ts';
import type { MessageOutlet } from '../outlet.ts';
import { isMarked, sentNs } from '../own-traffic.ts';
import { toLibrary } from './bridge.ts';

/** What is sent while there is no connection, and what is sent and not settled. */
export interface Outbox extends MessageOutlet {
  /** A session is up. `acknowledges`: the server tells what it has taken over (XEP-0198); else a ping behind it does. */
  open(way: OutboxWay): void;
  /** The session is gone; `resumable`: what it has not acknowledged is sent again by who resumes it. */
  close(how: { readonly resumable: boolean }): void;
  settled(sent: Element, outcome: 'acknowledged' | 'lost'): void;
  /** Nothing is sent any more. */
  end(): void;
}

export interface OutboxWay {
  readonly acknowledges: () => boolean;
  readonly send: (sent: Element) => void;
  /** Resolves when all that was sent before has been taken over. */
  readonly ping: () => Promise<unknown>;
}

interface Waiting {
  readonly sent: Element;
  readonly bytes: number;
  readonly settled: Deferred<void>;
  /** The stream's counts tell what becomes of it, over a resumption too. */
  counted: boolean;
}

/** Holds at most so many bytes of what is not settled. */
export function createOutbox(maxBytes: number): Outbox {
  let waiting: Waiting[] = [];
  let under: Waiting[] = [];
  let bytes = 0;
  let way: OutboxWay | undefined;
  let ended = false;

  function send(message: Stanza): Promise<void> {
    if (ended) return Promise.reject(closed());
    const marked = isMarked(message) ? message : withMark(message);
    const size = Buffer.byteLength(marked.xml);
    if (bytes + size > maxBytes) return Promise.reject(full());
    const entry = { sent: toLibrary(marked), bytes: size, settled: createDeferred<void>(), counted: false };
    bytes += size;
    waiting.push(entry);
    flush();
    return entry.settled.promise;
  }

  function flush(): void {
    const through = way;
    if (through === undefined || waiting.length === 0) return;
    const going = waiting;
    waiting = [];
    under.push(...going);
    const counted = through.acknowledges();
    for (const entry of going) {
      entry.counted = counted;
      through.send(entry.sent);
    }
    if (counted) return;
    through.ping().then(
      () => settle(going),
      () => undefined, // the session ended: its end puts them back
    );
  }

  function settle(entries: readonly Waiting[]): void {
    const done = new Set(entries.filter((entry) => under.includes(entry)));
    under = under.filter((entry) => !done.has(entry));
    for (const entry of done) {
      bytes -= entry.bytes;
      entry.settled.resolve();
    }
  }

  function putBack(entries: readonly Waiting[]): void {
    under = under.filter((entry) => !entries.includes(entry));
    waiting = [...entries, ...waiting];
  }

  return {
    send,
    open: (next) => {
      way = next;
      flush();
    },
    close: ({ resumable }) => {
      way = undefined;
      putBack(under.filter(({ counted }) => !resumable || !counted));
    },
    settled: (sent, outcome) => {
      const entries = under.filter((entry) => entry.sent === sent);
      if (outcome === 'acknowledged') settle(entries);
      else putBack(entries);
    },
    end: () => {
      ended = true;
      for (const { settled } of [...under, ...waiting]) settled.reject(closed());
      [under, waiting, bytes] = [[], [], 0];
    },
  };
}

function withMark(message: Stanza): Stanza {
  const attrs = { xmlns: 'jabber:client', ...message.attrs };
  return element(message.name, attrs, [...message.children, element('sent', { xmlns: sentNs })]);
}

function full(): ServiceError {
  return new ServiceError('OUTBOX_FULL', 'too many messages wait for a connection to the chat server');
}

function closed(): ServiceError {
  return new ServiceError('OUTBOX_CLOSED', 'the attachment was stopped before the chat server had taken the message over');
}
