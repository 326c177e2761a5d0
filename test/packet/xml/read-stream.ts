import type { Stanza } from '../../../src/model/packet.ts';
import { Framer } from '../../../src/packet/xml/frame.ts';
import { createStanzaParser, type ParseStanza, parseStreamHeader } from '../../../src/packet/xml/parse.ts';

/** The results of our framer and parser for a stream that arrives in these reads. */
export interface StreamAsRead {
  readonly header: string;
  /** The bytes of each stanza. */
  readonly frames: readonly Buffer[];
  readonly stanzas: readonly Stanza[];
  readonly closed: boolean;
}

export function readStream(reads: Iterable<Buffer>, maxStanzaBytes = 1 << 20): StreamAsRead {
  let header = '';
  let closed = false;
  let parse: ParseStanza | undefined;
  const frames: Buffer[] = [];
  const stanzas: Stanza[] = [];
  const framer = new Framer({
    maxStanzaBytes,
    onOpen: (opening) => {
      header = opening;
      parse = createStanzaParser(parseStreamHeader(opening));
    },
    onStanza: (bytes) => {
      if (parse === undefined) throw new Error('a stanza came before the header');
      frames.push(bytes);
      stanzas.push(parse(bytes));
    },
    onClose: () => {
      closed = true;
    },
  });
  for (const read of reads) framer.push(read);
  return { header, frames, stanzas, closed };
}

/** Splits bytes at each of these positions. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places, bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** Reads of one byte each, every one in its own memory as those of a socket may be. */
export function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}
