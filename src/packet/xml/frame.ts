/**
 * Splits the bytes of one XMPP stream (XEP-0114, RFC 6120 §4) into its header, its stanzas and its end, without parsing. The framer
 * follows tags, quotes, comments, CDATA sections and processing instructions only as far as needed to find the end of an element.
 * Each byte is examined at most twice, independent of the chunks: a chunk mostly contains whole stanzas of tags and text, whose ends are
 * found without the states.
 *
 * States: `text` → `markup` (after `<`) → `open-tag` ⇄ `quoted`, `close-tag`, `declaration` (after `<!`) or `section`
 * (comment, CDATA, processing instruction), each → `text`. Depth is 0 before the header and after the end, 1 between stanzas, and
 * more inside a stanza.
 */
import { isUtf8 } from 'node:buffer';
import { ServiceError } from '../../kit/errors.ts';
import { ElementBuffer } from './element-buffer.ts';

export interface FramerOptions {
  /** Limit for the header and for one stanza. */
  readonly maxStanzaBytes: number;
  /** The stream's opening tag as received. */
  onOpen(header: string): void;
  /** The bytes of one complete element. They may be a view of the chunk, and are valid only as long as the chunk. */
  onStanza(bytes: Buffer): void;
  /**
   * Called as soon as a stanza exceeds the limit, with its first bytes (16 KiB, or the limit if that is less). The rest is
   * skipped. Without this listener, the stream ends with STANZA_TOO_LARGE.
   */
  onTooLarge?(head: Buffer): void;
  onClose(): void;
}

type State = 'close-tag' | 'declaration' | 'markup' | 'open-tag' | 'quoted' | 'section' | 'text';

const NOTHING = Buffer.alloc(0);

/** Frames one stream. Holds at most `maxStanzaBytes` in addition to the chunk that it was given. */
export class Framer {
  readonly #options: FramerOptions;
  readonly #buffer: ElementBuffer;
  #state: State = 'text';
  #depth = 0;
  #ended = false;
  #failure: Error | undefined;
  /** The last byte of the previous chunk: `/` and `>` of a tag may be in different chunks. */
  #lastByte = 0;
  #quote = 0;
  #opening = '';
  /** The section ends with this byte, `closerRun` times or more, and `>`. */
  #closer = 0;
  #closerRun = 0;
  #run = 0;
  #streamName = '';

  constructor(options: FramerOptions) {
    this.#options = options;
    this.#buffer = new ElementBuffer(options.maxStanzaBytes, options.onTooLarge);
  }

  /** Whether a stanza is too large and its end has not been received. */
  get skipping(): boolean {
    return this.#buffer.skipping;
  }

  /**
   * Takes a chunk and calls the listeners before it returns. White space between stanzas (keepalives), comments and processing
   * instructions there are skipped. Throws STREAM_INVALID, STANZA_TOO_LARGE or the error of a listener; every later call throws
   * the same error.
   */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#readAll(chunk);
    } catch (thrown) {
      this.#failure = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw this.#failure;
    }
  }

  #readAll(chunk: Buffer): void {
    let at = 0;
    try {
      while (at < chunk.length) at = this.#step(chunk, at);
      this.#lastByte = chunk.at(-1) ?? this.#lastByte;
    } finally {
      this.#buffer.carry(chunk.subarray(0, at)); // also before an error, so that the size check does not depend on the chunks
    }
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'text':
        return this.#text(chunk, at);
      case 'markup':
        return this.#markup(chunk, at);
      case 'open-tag':
        return this.#openTag(chunk, at);
      case 'quoted':
        return this.#quoted(chunk, at);
      case 'close-tag':
        return this.#closeTag(chunk, at);
      case 'declaration':
        return this.#declaration(chunk, at);
      case 'section':
        return this.#section(chunk, at);
      default:
        return this.#state satisfies never;
    }
  }

  #text(chunk: Buffer, from: number): number {
    const at = this.#depth > 1 ? indexOf(chunk, LESS, from) : afterSpace(chunk, from);
    if (at === chunk.length) return at;
    if (chunk[at] !== LESS) throw invalid('text outside a stanza');
    const end = this.#depth === 1 ? endOfPlainElement(chunk, at) : 0;
    if (end > 0 && end - at <= this.#options.maxStanzaBytes) {
      this.#options.onStanza(chunk.subarray(at, end));
      return end;
    }
    if (this.#depth <= 1) this.#buffer.begin(at);
    this.#state = 'markup';
    return at + 1;
  }

  #markup(chunk: Buffer, at: number): number {
    const byte = chunk[at] ?? 0;
    if (byte === QUESTION) this.#enterSection(QUESTION, 1);
    else if (byte === BANG) this.#enterDeclaration();
    else if (this.#ended) throw invalid('data after the end of the stream');
    else if (byte === SLASH) this.#state = 'close-tag';
    else if (isNameStart(byte)) this.#enterOpenTag();
    else throw invalid('< is not followed by a name');
    return at + 1;
  }

  #enterOpenTag(): void {
    this.#state = 'open-tag';
    if (this.#depth === 1) this.#buffer.allowSkipping();
  }

  #openTag(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === GREATER) {
        const last = at === 0 ? this.#lastByte : chunk[at - 1];
        this.#opened(chunk, at + 1, last === SLASH);
        return at + 1;
      }
      if (byte === QUOTE || byte === APOSTROPHE) {
        this.#quote = byte;
        this.#state = 'quoted';
        return at + 1;
      }
    }
    return chunk.length;
  }

  #quoted(chunk: Buffer, from: number): number {
    const at = indexOf(chunk, this.#quote, from);
    if (at === chunk.length) return at;
    this.#state = 'open-tag';
    return at + 1;
  }

  #opened(chunk: Buffer, end: number, selfClosing: boolean): void {
    this.#state = 'text';
    if (this.#depth === 0) this.#openStream(this.#buffer.take(chunk, end) ?? NOTHING, selfClosing);
    else if (!selfClosing) this.#depth += 1;
    else if (this.#depth === 1) this.#handOver(this.#buffer.take(chunk, end));
  }

  #closeTag(chunk: Buffer, from: number): number {
    const at = indexOf(chunk, GREATER, from);
    if (at === chunk.length) return at;
    this.#state = 'text';
    this.#depth -= 1;
    if (this.#depth === 1) this.#handOver(this.#buffer.take(chunk, at + 1));
    else if (this.#depth < 1) this.#closeStream(this.#buffer.take(chunk, at + 1) ?? NOTHING);
    return at + 1;
  }

  #handOver(stanza: Buffer | undefined): void {
    if (stanza !== undefined) this.#options.onStanza(stanza);
  }

  #openStream(bytes: Buffer, selfClosing: boolean): void {
    if (!isUtf8(bytes)) throw invalid('its header is not UTF-8');
    const header = bytes.toString('utf8');
    this.#streamName = /^<([^\s/>]+)/.exec(header)?.[1] ?? '';
    this.#depth = 1;
    this.#options.onOpen(header);
    if (selfClosing) this.#end();
  }

  #closeStream(bytes: Buffer): void {
    const name = bytes.toString('utf8').slice(2, -1).trimEnd();
    if (this.#depth < 0 || name !== this.#streamName) throw invalid('a closing tag without an opening tag');
    this.#end();
  }

  #end(): void {
    this.#depth = 0;
    this.#ended = true;
    this.#options.onClose();
  }

  #enterDeclaration(): void {
    this.#opening = '';
    this.#state = 'declaration';
  }

  /** `<!` continues with `--` or `[CDATA[`. Anything else is part of a DOCTYPE, which XMPP forbids (RFC 6120 §11.1). */
  #declaration(chunk: Buffer, at: number): number {
    this.#opening += String.fromCharCode(chunk[at] ?? 0);
    if (this.#opening === '--') this.#enterSection(DASH, 2);
    else if (this.#opening === '[CDATA[' && this.#depth > 1) this.#enterSection(BRACKET, 2);
    else if (this.#opening === '[CDATA[') throw invalid('text outside a stanza');
    else if (!'--'.startsWith(this.#opening) && !'[CDATA['.startsWith(this.#opening)) throw invalid('a DOCTYPE or similar declaration');
    return at + 1;
  }

  #enterSection(closer: number, run: number): void {
    this.#closer = closer;
    this.#closerRun = run;
    this.#run = 0;
    this.#state = 'section';
    if (this.#depth <= 1) this.#buffer.drop();
  }

  #section(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === this.#closer) this.#run += 1;
      else if (byte === GREATER && this.#run >= this.#closerRun) {
        this.#state = 'text';
        return at + 1;
      } else this.#run = 0;
    }
    return chunk.length;
  }
}

function invalid(reason: string): ServiceError {
  return new ServiceError('STREAM_INVALID', `the chat server's stream is invalid: ${reason}; check that an XMPP server answers there`);
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const BANG = 0x21;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const DASH = 0x2d;
const SLASH = 0x2f;
const LESS = 0x3c;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const BRACKET = 0x5d;

/** End of the element at `from` if the chunk contains it whole, and if it contains only tags and text; otherwise 0. */
function endOfPlainElement(chunk: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < chunk.length; at = indexOf(chunk, LESS, at)) {
    const byte = chunk[at + 1] ?? 0;
    if (byte === SLASH) {
      at = indexOf(chunk, GREATER, at + 2);
      depth -= 1;
    } else if (isNameStart(byte)) {
      at = endOfOpenTag(chunk, at + 2);
      if (chunk[at - 1] !== SLASH) depth += 1;
    } else return 0;
    at += 1;
    if (depth <= 0) return depth === 0 && at <= chunk.length ? at : 0;
  }
  return 0;
}

/** Position of the `>` that ends the tag; the chunk's length or more if there is none. */
function endOfOpenTag(chunk: Buffer, from: number): number {
  for (let at = from; at < chunk.length; at += 1) {
    const byte = chunk[at] ?? 0;
    if (byte === GREATER) return at;
    if (byte === QUOTE || byte === APOSTROPHE) at = indexOf(chunk, byte, at + 1);
  }
  return chunk.length;
}

/** Position of the next `byte` at or after `from`; the chunk's length if there is none. */
function indexOf(chunk: Buffer, byte: number, from: number): number {
  let at = from;
  while (at < chunk.length && chunk[at] !== byte) at += 1;
  return at;
}

/** Position of the next byte at or after `from` that is not white space; the chunk's length if there is none. */
function afterSpace(chunk: Buffer, from: number): number {
  let at = from;
  while (at < chunk.length && isSpace(chunk[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB;
}

/** Whether a name may begin with this byte. Any byte of a longer UTF-8 sequence passes; the parser checks the character. */
function isNameStart(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte === 0x3a || byte >= 0x80;
}
