import type { Stanza } from '../../model/packet.ts';
import type { Unreadable } from './stanza-reader.ts';

/** What a feed may do with the stream it reads from. */
export interface Outlet {
  /** Writes one stanza; does nothing when the stream is gone. */
  send(xml: string): void;
}

/** Makes packets of what comes down a component's stream. Lives as long as its source, over many streams. */
export interface Feed {
  /** A stream is up. */
  attached(outlet: Outlet): void;
  /** The stream is gone. */
  detached(): void;
  /** One stanza came; `bytes` is its size on the wire. Answers to our own pings do not arrive here. */
  received(stanza: Stanza, bytes: number): void;
  /** Called for an unreadable stanza: it is counted, and acknowledged in order if the feed acknowledges. */
  unreadable(stanza: Unreadable): void;
  /** Other stanzas are wanted than before; a feed that cannot choose does nothing. */
  resubscribe(want: string): void;
}
