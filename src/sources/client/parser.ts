import { EventEmitter } from 'node:events';
import { type Element, xml } from '@xmpp/client';
import { toError } from '../../kit/errors.ts';
import { Fifo } from '../../kit/fifo.ts';
import type { Stanza } from '../../model/packet.ts';
import { localName } from '../../packet/xml/element.ts';
import type { Framer } from '../../packet/xml/frame.ts';
import { createStanzaReader, type Unreadable } from '../xmpp-stream.ts';

/** The content of a stream, as this source uses it; the library receives it by events. */
interface ParserListener {
  onStanza(stanza: Stanza, bytes: number): void;
  /** Called for a stanza that is unreadable or too large; the stream continues. */
  onUnreadable(unreadable: Unreadable): void;
  /** The server's features, or any other element of the stream itself (RFC 6120 §4.8.2). */
  onNonza(nonza: Stanza): void;
  /** The stream cannot be read any further. */
  onBroken(error: Error): void;
}

/**
 * Replaces the library's parser, with its events `start`, `element` and `end` (hence the inheritance). Reads one XML stream
 * with our own framing and parser: with a size limit, with characters that are split over reads, and without exceptions in
 * the socket's handler. After an element of the stream itself (`<enabled/>`, `<resumed/>`) the rest of the read waits for a
 * turn of the event loop, since the library handles that element a few promises later and would be overtaken.
 */
export class LibraryParser extends EventEmitter {
  readonly #listener: ParserListener;
  readonly #framer: Framer;
  readonly #actions = new Fifo<() => void>();
  #waiting = false;
  #broken = false;

  constructor(maxStanzaBytes: number, listener: ParserListener) {
    super();
    const later = (act: () => void) => this.#actions.push(act);
    this.#listener = listener;
    this.#framer = createStanzaReader({
      maxStanzaBytes,
      onOpen: (stream) => later(() => this.emit('start', toLibrary(stream))),
      onStanza: (stanza, bytes) => later(() => (isStanza(stanza) ? this.#stanza(stanza, bytes) : this.#nonza(stanza))),
      onUnreadable: (unreadable) => later(() => this.#unreadable(unreadable)),
      onClose: () => later(() => this.emit('end')),
    });
  }

  /** Whether a stanza is too large and its end has not been received. */
  get skipping(): boolean {
    return this.#framer.skipping;
  }

  write(data: Buffer): void {
    if (this.#broken) return;
    try {
      this.#framer.push(data);
    } catch (thrown) {
      this.#actions.push(() => this.#break(thrown)); // complete stanzas before the error still count
    }
    this.#run();
  }

  #run(): void {
    try {
      while (!this.#waiting && !this.#broken) {
        const act = this.#actions.shift();
        if (act === undefined) return;
        act();
      }
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  #break(thrown: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#listener.onBroken(toError(thrown));
  }

  #stanza(stanza: Stanza, bytes: number): void {
    this.emit('element', stanza.name === 'iq' ? toLibrary(stanza) : countable(stanza));
    this.#listener.onStanza(stanza, bytes);
  }

  /** The server counts an unreadable stanza too (XEP-0198 §4). */
  #unreadable(unreadable: Unreadable): void {
    const { head } = unreadable;
    this.emit('element', head !== undefined && isStanza(head) ? countable(head) : xml('message', { xmlns: 'jabber:client' }));
    this.#listener.onUnreadable(unreadable);
  }

  #nonza(nonza: Stanza): void {
    this.#listener.onNonza(nonza);
    this.#waiting = true;
    setImmediate(() => {
      this.#waiting = false;
      this.#run();
    });
    this.emit('element', toLibrary(nonza));
  }
}

function isStanza({ name }: Stanza): boolean {
  return name === 'iq' || name === 'message' || name === 'presence';
}

/** A stanza as far as the library needs it for its count (XEP-0198): its own modules read no messages, and fail on unusual addresses. */
function countable({ name, ns }: Stanza): Element {
  return xml(localName(name), { xmlns: ns });
}

/**
 * Converts an element to the library's class. Prefixes are resolved, so that the library finds elements independent of the prefix.
 * A namespace is written only if it differs from the parent's: MongooseIM rejects an `<after/>` with any attribute.
 */
export function toLibrary(stanza: Stanza, parentNs = ''): Element {
  const { attrs, ns } = stanza;
  const plain = Object.entries(attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'));
  const children = stanza.children.map((child) => (typeof child === 'string' ? child : toLibrary(child, ns)));
  return xml(localName(stanza.name), { ...Object.fromEntries(plain), ...(ns === parentNs ? {} : { xmlns: ns }) }, ...children);
}
