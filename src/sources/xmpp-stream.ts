/** The parts that component streams and client streams share. */

import type { Clock, Timers } from '../kit/clock.ts';
import type { Backoff } from '../kit/pacing.ts';
import type { Stanza } from '../model/packet.ts';
import { childElements, element, findChild } from '../packet/xml/element.ts';
import { Framer } from '../packet/xml/frame.ts';
import {
  createStanzaParser,
  isAboutOneStanza,
  type ParseStanza,
  parseStreamHeader,
  readHead,
  type StanzaContext,
} from '../packet/xml/parse.ts';

export const streamsNs = 'http://etherx.jabber.org/streams';

/**
 * Why a stream ended. `occupied`: another connection holds the component or the resource. `refused`: a retry soon would get
 * the same answer.
 */
export interface StreamEnd {
  readonly kind: 'closed' | 'failed' | 'occupied' | 'refused';
  /** For operators. */
  readonly reason: string;
}

/** An attachment of at least this length was a success: the next wait starts small again. */
export const provenAfterMs = 30_000;

/** The waits before the next connection; `reconnectCapMs` limits all but that after a refusal. */
export function reconnectBackoffs(reconnectCapMs: number): Readonly<Record<StreamEnd['kind'], Backoff>> {
  const failed: Backoff = { firstMs: 1000, capMs: reconnectCapMs, jitter: 0.2 };
  return { closed: failed, failed, occupied: failed, refused: { firstMs: 30_000, capMs: 300_000, jitter: 0.2 } };
}

/** An unreadable stanza: its head, undefined if that is unreadable too, and the reason. */
export interface Unreadable {
  readonly head: Stanza | undefined;
  readonly reason: 'malformed' | 'too-large';
}

interface StanzaReaderOptions {
  readonly maxStanzaBytes: number;
  /** The stream's header, as an element. */
  onOpen(stream: Stanza): void;
  /** One stanza, and its bytes on the wire. */
  onStanza(stanza: Stanza, bytes: number): void;
  /** Called for a stanza that is unreadable or too large. A user can cause one, so it must not end the stream. */
  onUnreadable(unreadable: Unreadable): void;
  onClose(): void;
}

/**
 * Reads one stream from its bytes, however they are split. `push` calls the listeners before it returns, and throws the
 * errors that end the stream: STREAM_INVALID, STANZA_TOO_LARGE for its header, or an error of a listener.
 */
export function createStanzaReader({ maxStanzaBytes, onOpen, onStanza, onUnreadable, onClose }: StanzaReaderOptions): Framer {
  let context: StanzaContext = {};
  let parse: ParseStanza = createStanzaParser();

  function read(bytes: Buffer): Stanza | undefined {
    try {
      return parse(bytes);
    } catch (thrown) {
      if (isAboutOneStanza(thrown)) return undefined;
      throw thrown;
    }
  }

  return new Framer({
    maxStanzaBytes,
    onOpen: (header) => {
      const { stream, namespaces } = parseStreamHeader(header);
      context = { namespaces };
      parse = createStanzaParser(context);
      onOpen(stream);
    },
    onStanza: (bytes) => {
      const stanza = read(bytes);
      if (stanza === undefined) onUnreadable({ head: readHead(bytes, context), reason: 'malformed' });
      else onStanza(stanza, bytes.length);
    },
    onTooLarge: (head) => onUnreadable({ head: readHead(head, context), reason: 'too-large' }),
    onClose,
  });
}

interface KeepaliveOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Silence after which the peer is pinged, ms. */
  readonly pingIntervalMs: number;
  /** Further silence after which the peer counts as dead, ms. */
  readonly pingTimeoutMs: number;
  readonly ping: () => void;
  readonly onDead: (silentMs: number) => void;
}

/**
 * Detects a dead peer, which TCP alone may not notice for hours. One timer runs at a time and compares with the time of the
 * last read when it fires: a read costs a clock reading and no timer.
 */
export class Keepalive {
  readonly #options: KeepaliveOptions;
  #lastHeard = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
  }

  start(): void {
    this.stop();
    this.heard();
    this.#listen();
  }

  stop(): void {
    this.#cancelTimer();
  }

  /** The peer has sent something. */
  heard(): void {
    this.#lastHeard = this.#options.clock.monotonic();
  }

  #listen(): void {
    const { timers, pingIntervalMs } = this.#options;
    this.#cancelTimer = timers.after(Math.max(1, pingIntervalMs - this.#silentMs()), () => {
      if (this.#silentMs() < pingIntervalMs) this.#listen();
      else this.#ping();
    });
  }

  #ping(): void {
    const { timers, pingTimeoutMs, ping, onDead } = this.#options;
    const heardBefore = this.#lastHeard;
    ping();
    this.#cancelTimer = timers.after(pingTimeoutMs, () => {
      if (this.#lastHeard > heardBefore) this.#listen();
      else onDead(Math.round(this.#silentMs()));
    });
  }

  #silentMs(): number {
    return this.#options.clock.monotonic() - this.#lastHeard;
  }
}

/** The text for a connection that the keepalive has ended. `skipping`: a stanza that is too large has not ended. */
export function describeSilence(silentMs: number, reader: { readonly skipping: boolean; readonly maxStanzaBytes: number }): string {
  return reader.skipping
    ? `a stanza that exceeds max_stanza_bytes (${reader.maxStanzaBytes}) has not ended within ${silentMs} ms`
    : `the server has been silent for ${silentMs} ms and does not answer a ping`;
}

/** The child of a ping (XEP-0199). */
export function pingElement(): Stanza {
  return element('ping', { xmlns: 'urn:xmpp:ping' });
}

/** Whether an IQ is a response (RFC 6120 §8.2.3). */
export function isResponse({ name, attrs }: Stanza): boolean {
  return name === 'iq' && (attrs['type'] === 'result' || attrs['type'] === 'error');
}

export const stanzaErrorsNs = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** The condition of a stanza error (RFC 6120 §8.3.3); undefined if there is none. */
export function errorCondition(stanza: Stanza): string | undefined {
  const error = findChild(stanza, 'error');
  const children = error === undefined ? [] : childElements(error).filter(({ name }) => name !== 'text');
  return (children.find(({ ns }) => ns === stanzaErrorsNs) ?? children[0])?.name;
}
