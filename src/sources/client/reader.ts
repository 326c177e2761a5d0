import { EventEmitter } from 'node:events';
import type { Element } from '@xmpp/client';
import { toError } from '../../kit/errors.ts';
import { Fifo } from '../../kit/fifo.ts';
import type { Stanza } from '../../model/packet.ts';
import { Framer } from '../../packet/xml/frame.ts';
import {
  createStanzaParser,
  isAboutOneStanza,
  type ParseStanza,
  parseStreamHeader,
  readHead,
  type StanzaContext,
} from '../../packet/xml/parse.ts';
import type { Unreadable } from '../xmpp-stream.ts';
import { toCount, toLibrary, uncountable } from './bridge.ts';

/** What a stream brings, besides what the library makes of it. */
export interface ReaderListener {
  onStanza(stanza: Stanza, bytes: number): void;
  /** Called for a stanza that is unreadable or too large; the stream continues. */
  onUnreadable(unreadable: Unreadable): void;
  /** The server's features, or any other element of the stream itself (RFC 6120 §4.8.2). */
  onNonza(element: Stanza): void;
  /** The stream cannot be read any further. */
  onBroken(error: Error): void;
}

/** Takes the place of the library's parser, with its events: `start`, `element`, `end`. */
export interface StreamReader extends EventEmitter {
  /** Whether a stanza is too large and its end has not been received. */
  readonly skipping: boolean;
  write(data: Buffer): void;
}

/**
 * Reads one XML stream with our own framing and parser: a size limit, characters whole however they are split, and no
 * entity that throws out of a socket's handler. What follows an element of the stream itself (`<enabled/>`, `<resumed/>`)
 * waits a turn of the loop, since the library acts on those a few promises later, and what comes in the same read would
 * overtake that.
 */
export function createStreamReader(maxStanzaBytes: number, listener: ReaderListener): StreamReader {
  const emitter = new EventEmitter();
  const waiting = new Fifo<() => void>();
  let context: StanzaContext = {};
  let parse: ParseStanza = createStanzaParser();
  let broken = false;
  let resting = false;

  const framer = new Framer({
    maxStanzaBytes,
    onOpen: (header) => {
      const { stream, namespaces } = parseStreamHeader(header);
      context = { namespaces };
      parse = createStanzaParser(context);
      later(() => emitter.emit('start', toLibrary(stream)));
    },
    onStanza: (bytes) => framed(bytes),
    onTooLarge: (head) => lose({ head: readHead(head, context), reason: 'too-large' }),
    onClose: () => later(() => emitter.emit('end')),
  });

  function framed(bytes: Buffer): void {
    const stanza = read(bytes);
    const { length } = bytes;
    if (stanza === undefined) lose({ head: readHead(bytes, context), reason: 'malformed' });
    else later(() => (isStanza(stanza) ? hand(stanza, length) : pass(stanza)));
  }

  /** The server counts an unreadable stanza too (XEP-0198 §4). */
  function lose(unreadable: Unreadable): void {
    const { head } = unreadable;
    later(() => {
      tell(head !== undefined && isStanza(head) ? toCount(head) : uncountable);
      listener.onUnreadable(unreadable);
    });
  }

  /** Undefined if it cannot be read, which a user can cause. */
  function read(bytes: Buffer): Stanza | undefined {
    try {
      return parse(bytes);
    } catch (thrown) {
      if (isAboutOneStanza(thrown)) return undefined;
      throw thrown;
    }
  }

  function hand(stanza: Stanza, bytes: number): void {
    tell(stanza.name === 'iq' ? toLibrary(stanza) : toCount(stanza));
    listener.onStanza(stanza, bytes);
  }

  function pass(nonza: Stanza): void {
    listener.onNonza(nonza);
    resting = true;
    setImmediate(() => {
      resting = false;
      drain();
    });
    tell(toLibrary(nonza));
  }

  function tell(element: Element): void {
    emitter.emit('element', element);
  }

  function later(act: () => void): void {
    waiting.push(act);
  }

  function drain(): void {
    try {
      for (
        let act = resting || broken ? undefined : waiting.shift();
        act !== undefined;
        act = resting || broken ? undefined : waiting.shift()
      )
        act();
    } catch (thrown) {
      fail(thrown);
    }
  }

  function fail(thrown: unknown): void {
    if (broken) return;
    broken = true;
    listener.onBroken(toError(thrown));
  }

  function write(data: Buffer): void {
    if (broken) return;
    try {
      framer.push(data);
    } catch (thrown) {
      later(() => fail(thrown)); // what came whole before it counts
    }
    drain();
  }

  return Object.defineProperty(Object.assign(emitter, { write, skipping: false }), 'skipping', { get: () => framer.skipping });
}

function isStanza({ name }: Stanza): boolean {
  return name === 'iq' || name === 'message' || name === 'presence';
}
