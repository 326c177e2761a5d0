import type { Stanza } from '../../../pools/contract.ts';
import { createFramer, type Framer } from '../../packet/xml/frame.ts';
import { createStanzaParser, isAboutOneStanza, type ParseStanza, parseStreamHeader } from '../../packet/xml/parse.ts';

export interface StanzaReaderOptions {
  readonly maxStanzaBytes: number;
  /** The stream's header, as an element. */
  onOpen(stream: Stanza): void;
  /** One stanza, and its bytes on the wire. */
  onStanza(stanza: Stanza, bytes: number): void;
  /** A stanza came whole that nobody can read. The server would send it again on the next stream, and so for ever. */
  onUnreadable(): void;
  onClose(): void;
}

/**
 * Reads one stream from its bytes, however they are split. `push` calls the listeners before it returns, and throws what
 * ends the stream: STREAM_INVALID, STANZA_TOO_LARGE, or what a listener threw.
 */
export function createStanzaReader({ maxStanzaBytes, onOpen, onStanza, onUnreadable, onClose }: StanzaReaderOptions): Framer {
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
      parse = createStanzaParser({ namespaces });
      onOpen(stream);
    },
    onStanza: (bytes) => {
      const stanza = read(bytes);
      if (stanza === undefined) onUnreadable();
      else onStanza(stanza, bytes.length);
    },
    onClose,
  });
}
