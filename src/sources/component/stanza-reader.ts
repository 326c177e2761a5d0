import type { Stanza } from '../../model/packet.ts';
import { createFramer, type Framer } from '../../packet/xml/frame.ts';
import {
  createStanzaParser,
  isAboutOneStanza,
  type ParseStanza,
  parseStreamHeader,
  readHead,
  type StanzaContext,
} from '../../packet/xml/parse.ts';

/** An unreadable stanza: its head, undefined if that is unreadable too, and the reason. */
export interface Unreadable {
  readonly head: Stanza | undefined;
  readonly reason: 'malformed' | 'too-large';
}

export interface StanzaReaderOptions {
  readonly maxStanzaBytes: number;
  /** The stream's header, as an element. */
  onOpen(stream: Stanza): void;
  /** One stanza, and its bytes on the wire. */
  onStanza(stanza: Stanza, bytes: number): void;
  /** Called for a stanza that is unreadable or too large. The server would send it again on the next stream. */
  onUnreadable(unreadable: Unreadable): void;
  onClose(): void;
}

/**
 * Reads one stream from its bytes, however they are split. `push` calls the listeners before it returns, and throws what
 * ends the stream: STREAM_INVALID, STANZA_TOO_LARGE for its header, or an error of a listener.
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

  return createFramer({
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
