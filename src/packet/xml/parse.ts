import { isUtf8 } from 'node:buffer';
import { SaxesParser } from 'saxes';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { Stanza } from '../../model/packet.ts';
import { appendChild, type Child, finishRead } from './element.ts';
import { type Declarations, declaredPrefix, type ElementHead, resolveHead, Scope } from './namespaces.ts';

/**
 * Bytes of one element → a frozen tree. On `saxes` in strict form, with what it leaves to its user: fatal UTF-8, one
 * element and no more, no DOCTYPE, no entity but XML's five, a limit on depth. Namespaces are resolved here and not by
 * saxes, whose attribute objects cost a third of the whole.
 *
 * What xmpp.js and ltx get wrong and this does not: an unknown entity is an error that is thrown to the caller and not
 * out of a socket's handler; text after a CDATA section, a comment or a processing instruction is kept; a DOCTYPE and
 * an attribute without quotes are refused and do not stall the stream.
 */

/** Elements may stand this deep in each other; what XMPP carries stays below twenty. */
export const MAX_DEPTH = 128;

export type ParseStanza = (source: Buffer | string) => Stanza;

/** Where a stanza was read: what the stream's header declares (prefix → namespace, the default one under `''`). */
export interface StanzaContext {
  readonly namespaces?: Declarations;
}

/** Parses one stanza by itself. For a stream, {@link createStanzaParser} saves the parser's start. Throws STREAM_INVALID. */
export function parseStanza(source: Buffer | string, context: StanzaContext = {}): Stanza {
  return createStanzaParser(context)(source);
}

/**
 * A parser for the stanzas of one stream. Each call takes exactly one element, white space around it allowed, and
 * returns it deeply frozen: adjacent texts merged, prefixes and inherited namespaces resolved, line ends as XML 1.0
 * §2.11 says. Throws STANZA_TOO_DEEP for one that nests too much, STANZA_PREFIX_INVALID for one that breaks the rules of
 * namespaces alone (some servers make such ones of what users send), and STREAM_INVALID for anything else. It can be used
 * again after that.
 */
export function createStanzaParser({ namespaces = {} }: StanzaContext = {}): ParseStanza {
  let reader: Reader | undefined;

  return (source) => {
    const text = decode(source);
    const used = reader ?? new Reader(namespaces);
    reader = undefined; // one that failed is left in the middle of something
    try {
      const stanza = used.read(text);
      reader = used;
      return stanza;
    } catch (thrown) {
      const cause = toError(thrown);
      throw cause instanceof ServiceError ? cause : invalid(cause.message, cause);
    }
  };
}

/**
 * Whether a parser's error concerns one complete stanza, so that the stream can be read after it. Some chat servers let a user
 * send such a stanza, and it must not end the stream.
 */
export function isAboutOneStanza(thrown: unknown): boolean {
  return thrown instanceof ServiceError && aboutOneStanza.has(thrown.code);
}

const aboutOneStanza: ReadonlySet<string> = new Set(['STANZA_PREFIX_INVALID', 'STANZA_TOO_DEEP', 'STREAM_INVALID']);

/** A stream's header as an element: its attributes, and the declarations that its stanzas inherit. */
export interface StreamHeader {
  readonly stream: Stanza;
  readonly namespaces: Declarations;
}

/** Reads `<stream:stream …>` as the framer hands it over: an opening tag without its end. Throws STREAM_INVALID. */
export function parseStreamHeader(header: string): StreamHeader {
  const closed = header.endsWith('/>') ? header : header.replace(/>$/, '/>');
  const stream = parseStanza(closed);
  const namespaces: Record<string, string> = {};
  for (const [attribute, uri] of Object.entries(stream.attrs)) {
    const prefix = declaredPrefix(attribute);
    if (prefix !== undefined) namespaces[prefix] = uri;
  }
  return Object.freeze({ stream, namespaces: Object.freeze(namespaces) });
}

function decode(source: Buffer | string): string {
  if (typeof source !== 'string') {
    if (!isUtf8(source)) throw invalid('it is not UTF-8');
    return trimEnd(source.toString('utf8'));
  }
  if (/\p{Surrogate}/u.test(source)) throw invalid('it holds half a character');
  return trimEnd(source);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && ' \t\r\n'.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

function invalid(reason: string, cause?: Error): ServiceError {
  return new ServiceError('STREAM_INVALID', `cannot read a stanza: ${reason}`, cause === undefined ? {} : { cause });
}

interface Open {
  readonly head: ElementHead;
  readonly children: Child[];
}

/** One saxes parser and the elements that are open in it. */
class Reader {
  readonly #saxes = new SaxesParser({ xmlns: false, fragment: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true });
  readonly #scope: Scope;
  readonly #open: Open[] = [];
  #end = 0;
  #root: Stanza | undefined;

  constructor(namespaces: Declarations) {
    this.#scope = new Scope(namespaces);
    // An ordinary object would also know `&constructor;` and whatever else Object.prototype holds.
    this.#saxes.ENTITIES = Object.assign(Object.create(null), { amp: '&', apos: "'", gt: '>', lt: '<', quot: '"' });
    this.#saxes.on('opentag', (tag) => this.#openTag(tag.name, tag.attributes));
    this.#saxes.on('closetag', () => this.#closeTag());
    this.#saxes.on('text', (text) => this.#text(text));
    this.#saxes.on('cdata', (text) => this.#cdata(text));
    this.#saxes.on('doctype', () => refuse('a DOCTYPE is not allowed'));
    this.#saxes.on('xmldecl', () => refuse('an XML declaration is not allowed'));
    // Namespaces in XML 1.0 §7; saxes looks at it only where it resolves namespaces itself.
    this.#saxes.on(
      'processinginstruction',
      ({ target }) => target.includes(':') && refuse('a processing instruction has a colon in its name'),
    );
    this.#saxes.on('error', (error) => refuse(error.message));
  }

  read(text: string): Stanza {
    this.#root = undefined;
    this.#end += text.length; // saxes counts positions on from one write to the next
    this.#saxes.write(text);
    const root: Stanza | undefined = this.#root;
    if (root === undefined) throw invalid('it ends too early');
    return root;
  }

  #openTag(name: string, attrs: Record<string, string>): void {
    if (this.#open.length === MAX_DEPTH) throw tooDeep();
    this.#open.push({ head: resolveHead(name, attrs, this.#scope), children: [] });
  }

  #closeTag(): void {
    const closed = this.#open.pop();
    if (closed === undefined) throw invalid('a tag closes what is not open');
    this.#scope.leave();
    const stanza = finishRead(closed.head, closed.children);
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.children.push(stanza);
    else if (this.#saxes.position !== this.#end) throw invalid('something follows its end');
    else this.#root = stanza;
  }

  #text(text: string): void {
    const parent = this.#open.at(-1);
    if (parent !== undefined) appendChild(parent.children, text);
    else if (/[^ \t\r\n]/.test(text)) throw invalid('text stands outside of it');
  }

  #cdata(text: string): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) throw invalid('text stands outside of it');
    appendChild(parent.children, text);
  }
}

function tooDeep(): ServiceError {
  return new ServiceError('STANZA_TOO_DEEP', `elements of a stanza stand more than ${MAX_DEPTH} deep in each other`);
}

function refuse(reason: string): never {
  throw invalid(reason);
}

/** Maximum number of bytes that are read of a stanza. */
const maxHeadBytes = 16_384;

/**
 * The beginning of a stanza that is not whole or cannot be read: the element with its attributes, and the children that
 * start before the first mistake, each with its attributes alone. Undefined where the element's own tag cannot be read.
 * Never throws.
 */
export function readHead(bytes: Buffer, { namespaces = {} }: StanzaContext = {}): Stanza | undefined {
  const saxes = new SaxesParser({ xmlns: false, fragment: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true });
  const scope = new Scope(namespaces);
  const children: Stanza[] = [];
  let root: ElementHead | undefined;
  let depth = 0;

  saxes.on('opentag', ({ name, attributes }) => {
    depth += 1;
    if (root === undefined) root = resolveHead(name, attributes, scope);
    else if (depth === 2) children.push(finishRead(resolveHead(name, attributes, scope), []));
  });
  saxes.on('closetag', () => {
    if (depth <= 2) scope.leave();
    depth -= 1;
  });
  saxes.on('error', (error) => {
    throw error;
  });
  try {
    saxes.write(bytes.toString('utf8', 0, maxHeadBytes));
  } catch {
    // The elements before the mistake are the result.
  }
  return root === undefined ? undefined : finishRead(root, children);
}
