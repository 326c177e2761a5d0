/**
 * Reads the XML that chat servers write, in one pass over its bytes: elements and attributes without prefixes (except `xml:lang`),
 * default namespaces, text, and the five entities. It accepts only well-formed elements of this subset and leaves everything else,
 * valid or not, to saxes: one parser decides about every doubtful case. It takes a tenth of the time of saxes.
 */
import { isUtf8 } from 'node:buffer';
import type { Stanza } from '../../model/packet.ts';
import { Attributes, type Child, finishRead } from './element.ts';

/** Maximum depth of nested elements; stanzas in practice stay below twenty. */
export const MAX_DEPTH = 128;

/** Elements with more attributes are left to saxes. */
const MAX_ATTRIBUTES = 32;

/** Reads the stanzas of one stream. */
export class PlainReader {
  readonly #names = new Interned(PLAIN_NAME);
  readonly #namespaces = new Interned(PLAIN_NAMESPACE);
  readonly #streamNs: string;
  #bytes: Buffer = NO_BYTES;
  /** The bytes as Latin-1: a part of this string costs a tenth of one that is decoded from the bytes. */
  #latin1 = '';
  #at = 0;
  /** Whether the bytes are known to be UTF-8: checked at the first one outside of ASCII. */
  #isUtf8 = false;

  /** `streamNs`: the default namespace that the header of the stream declares. */
  constructor(streamNs: string) {
    this.#streamNs = streamNs;
  }

  /** The element that the bytes contain. Undefined if they contain anything more, or anything outside of the subset. */
  read(bytes: Buffer): Stanza | undefined {
    if (bytes[0] !== LESS) return undefined;
    this.#bytes = bytes;
    this.#latin1 = bytes.toString('latin1');
    this.#at = 1;
    this.#isUtf8 = false;
    const stanza = this.#element(this.#streamNs, 1);
    const isWhole = this.#at === bytes.length;
    this.#bytes = NO_BYTES;
    this.#latin1 = '';
    return isWhole ? stanza : undefined;
  }

  /** An element, from its name on. */
  #element(outerNs: string, depth: number): Stanza | undefined {
    const name = this.#name();
    if (name === undefined || name === 'xml:lang' || depth > MAX_DEPTH) return undefined;
    const attrs = new Attributes();
    if (!this.#attributes(attrs)) return undefined;
    const ns = attrs['xmlns'] ?? outerNs;
    const children = this.#content({ name, ns, depth });
    return children === undefined ? undefined : finishRead({ name, attrs, ns, prefixes: undefined, open: false }, children);
  }

  /** Attributes, up to the `>` or `/` that ends the tag. */
  #attributes(attrs: Attributes): boolean {
    for (let count = 0; count <= MAX_ATTRIBUTES; count += 1) {
      const before = this.#at;
      const byte = this.#skipSpace();
      if (byte === GREATER || byte === SLASH) return true;
      if (this.#at === before) return false;

      const name = this.#name();
      if (name === undefined || attrs[name] !== undefined || this.#bytes[this.#at] !== EQUALS) return false;
      const value = this.#value(name);
      if (value === undefined) return false;
      attrs[name] = value;
    }
    return false;
  }

  /** Skips white space and returns the byte after it. */
  #skipSpace(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    while (bytes[at] === SPACE || bytes[at] === LINE_FEED || bytes[at] === TAB || bytes[at] === RETURN) at += 1;
    this.#at = at;
    return bytes[at] ?? 0;
  }

  #name(): string | undefined {
    return this.#interned(IN_NAME, this.#names);
  }

  /** The value of an attribute, from the `=` on. */
  #value(name: string): string | undefined {
    const bytes = this.#bytes;
    const quote = bytes[this.#at + 1];
    if (quote !== QUOTE && quote !== APOSTROPHE) return undefined;
    this.#at += 2;
    const value = name === 'xmlns' ? this.#interned(IN_VALUE, this.#namespaces) : this.#run(quote, IN_VALUE);
    this.#at += 1;
    return bytes[this.#at - 1] === quote ? value : undefined;
  }

  /** The bytes of a class, as a string that is made once. */
  #interned(inside: Uint8Array, strings: Interned): string | undefined {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    let hash = 0;
    for (let byte = bytes[at] ?? 0; inside[byte] === 1; byte = bytes[at] ?? 0) {
      hash = Math.imul(hash, 31) + byte;
      at += 1;
    }
    this.#at = at;
    return strings.find(bytes, { start, end: at, hash });
  }

  /** The children and the closing tag, from the `>` or `/` of the opening tag on. */
  #content({ name, ns, depth }: { readonly name: string; readonly ns: string; readonly depth: number }): Child[] | undefined {
    const bytes = this.#bytes;
    let children: Child[] = [];
    if (bytes[this.#at] === SLASH) {
      const isClosed = bytes[this.#at + 1] === GREATER;
      this.#at += 2;
      return isClosed ? children : undefined;
    }

    this.#at += 1;
    for (;;) {
      if (bytes[this.#at] !== LESS) {
        const text = this.#run(LESS, IN_TEXT);
        if (text === undefined) return undefined;
        children = withChild(children, text);
      }
      if (bytes[this.#at + 1] === SLASH) return this.#closes(name) ? children : undefined;
      this.#at += 1;
      const child = this.#element(ns, depth + 1);
      if (child === undefined) return undefined;
      children = withChild(children, child);
    }
  }

  #closes(name: string): boolean {
    const bytes = this.#bytes;
    const start = this.#at + 2;
    const end = start + name.length;
    this.#at = end + 1;
    for (let at = start; at < end; at += 1) if (bytes[at] !== name.charCodeAt(at - start)) return false;
    return bytes[end] === GREATER;
  }

  /** Text up to the byte `stop`, which is not consumed. `plain`: the bytes that stand for themselves. */
  #run(stop: number, plain: Uint8Array): string | undefined {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    while (plain[bytes[at] ?? 0] === 1) at += 1;
    if (bytes[at] !== stop) return this.#mixedRun(at, { stop, plain });
    this.#at = at;
    return this.#latin1.slice(start, at);
  }

  /** As `#run`, with entities and characters outside of ASCII, of which the first is at the position `from`. */
  #mixedRun(from: number, { stop, plain }: { readonly stop: number; readonly plain: Uint8Array }): string | undefined {
    const bytes = this.#bytes;
    let text = '';
    let start = this.#at;
    let at = from;
    for (let byte = bytes[at]; byte !== stop; byte = bytes[at]) {
      if (byte === undefined) return undefined;
      if (byte === AMPERSAND) {
        const entity = this.#entityAt(at);
        if (entity === undefined) return undefined;
        text += this.#decode(start, at) + entity.character;
        at += entity.written.length;
        start = at;
      } else if (plain[byte] === 1 || this.#isCharacterAt(at, stop)) at += 1;
      else return undefined;
    }
    this.#at = at;
    return text + this.#decode(start, at);
  }

  #entityAt(at: number): Entity | undefined {
    for (const entity of ENTITIES) if (this.#latin1.startsWith(entity.written, at)) return entity;
    return undefined;
  }

  /** Whether a byte that is not plain stands for itself: a byte of a longer UTF-8 sequence, the other quote, or `]` without `]>` after it. */
  #isCharacterAt(at: number, stop: number): boolean {
    const bytes = this.#bytes;
    const byte = bytes[at] ?? 0;
    if (byte >= 0x80) {
      this.#isUtf8 ||= isUtf8(bytes);
      const isNoncharacter = byte === 0xef && bytes[at + 1] === 0xbf && (bytes[at + 2] ?? 0) >= 0xbe; // U+FFFE and U+FFFF
      return this.#isUtf8 && !isNoncharacter;
    }
    if (stop === LESS) return byte === BRACKET && !(bytes[at + 1] === BRACKET && bytes[at + 2] === GREATER);
    return byte === QUOTE || byte === APOSTROPHE;
  }

  #decode(start: number, end: number): string {
    return this.#isUtf8 ? this.#bytes.toString('utf8', start, end) : this.#latin1.slice(start, end);
  }
}

/** The first two children are added without `push`, which would reserve space for 17: most elements have no more. */
function withChild(children: Child[], child: Child): Child[] {
  const [first] = children;
  if (first === undefined) return [child];
  if (children.length === 1) return [first, child];
  children.push(child);
  return children;
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** Of the bytes in the span. */
  readonly hash: number;
}

/**
 * Strings that most stanzas contain. Each is made once and is what V8 calls internalized: a property of this name is found, and two
 * such strings are compared, without looking at their characters. A string takes the place of another with the same slot.
 */
class Interned {
  readonly #plain: RegExp;
  readonly #slots: (Known | undefined)[] = new Array(SLOTS);

  constructor(plain: RegExp) {
    this.#plain = plain;
  }

  /** The string in this span of `bytes`; undefined if it is not plain. */
  find(bytes: Buffer, { start, end, hash }: Span): string | undefined {
    const slot = hash & (SLOTS - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isAt(known.bytes, bytes, start, end)) return known.text;

    const found = bytes.toString('latin1', start, end);
    if (!this.#plain.test(found)) return undefined;
    const [text = found] = Object.keys({ [found]: true });
    if (found.length <= MAX_INTERNED) this.#slots[slot] = { text, bytes: Uint8Array.from(bytes.subarray(start, end)) };
    return text;
  }
}

interface Known {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** A loop, because each call of a method for so few bytes would cost more. */
function isAt(wanted: Uint8Array, bytes: Buffer, start: number, end: number): boolean {
  if (wanted.length !== end - start) return false;
  for (let index = 0; index < wanted.length; index += 1) if (bytes[start + index] !== wanted[index]) return false;
  return true;
}

const SLOTS = 256;
const MAX_INTERNED = 64;

/** Reserved namespaces, which only the prefixes `xml` and `xmlns` may have, are not plain. */
const PLAIN_NAME = /^(?:[A-Za-z_][-.\w]*|xml:lang)$/;
const PLAIN_NAMESPACE = /^(?!http:\/\/www\.w3\.org\/(?:XML\/1998\/namespace|2000\/xmlns\/)$)/;

interface Entity {
  readonly written: string;
  readonly character: string;
}

const ENTITIES: readonly Entity[] = [
  { written: '&amp;', character: '&' },
  { written: '&apos;', character: "'" },
  { written: '&quot;', character: '"' },
  { written: '&lt;', character: '<' },
  { written: '&gt;', character: '>' },
];

const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const AMPERSAND = 0x26;
const APOSTROPHE = 0x27;
const SLASH = 0x2f;
const LESS = 0x3c;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const BRACKET = 0x5d;

/** 1 for each byte that stands for itself in a name, in the value of an attribute, and in text. */
const IN_NAME = tableOf((character) => /[-.:\w]/.test(character));
const IN_VALUE = tableOf((character) => /[ -\x7f]/.test(character) && !/[<&"']/.test(character));
const IN_TEXT = tableOf((character) => /[\t\n -\x7f]/.test(character) && !/[<&\]]/.test(character));

function tableOf(accepts: (character: string) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (accepts(String.fromCharCode(byte)) ? 1 : 0));
}

const NO_BYTES = Buffer.alloc(0);
