/**
 * Parses the bytes of one element into a tree. Stanzas as chat servers write them go through {@link PlainReader}. All others go through
 * `saxes` in strict mode, with the checks that it leaves to its caller: valid UTF-8, exactly one element, no DOCTYPE, only the five
 * entities of XML, a limit on depth. Namespaces are resolved here, because the attribute objects of saxes take a third of its time.
 */
import { isUtf8 } from 'node:buffer';
import { SaxesParser } from 'saxes';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { Stanza } from '../../model/packet.ts';
import { appendChild, type Child, finishRead, freezeStanza } from './element.ts';
import { type Declarations, declaredPrefix, type ElementHead, resolveHead, Scope } from './namespaces.ts';
import { MAX_DEPTH, PlainReader } from './plain-reader.ts';

export type ParseStanza = (source: Buffer | string) => Stanza;

/** The stream of a stanza: the namespaces that its header declares (prefix → namespace, the default under `''`). */
export interface StanzaContext {
  readonly namespaces?: Declarations;
}

/** Parses a single stanza, frozen. For a stream, {@link createStanzaParser} reuses the parser. Throws the same errors. */
export function parseStanza(source: Buffer | string, context: StanzaContext = {}): Stanza {
  return freezeStanza(createStanzaParser(context)(source));
}

/**
 * Creates a parser for the stanzas of one stream. Each call takes exactly one element, optionally surrounded by white space, and
 * returns it, not frozen: adjacent texts merged, prefixes and inherited namespaces resolved, line ends normalised (XML 1.0
 * §2.11). Throws STANZA_TOO_DEEP for excessive nesting, STANZA_PREFIX_INVALID for a violation of namespace rules alone (some servers
 * create such stanzas from user input), and STREAM_INVALID for any other error. The parser stays usable after an error.
 */
export function createStanzaParser(context: StanzaContext = {}): ParseStanza {
  const plain = new PlainReader(context.namespaces?.[''] ?? '');
  const readAny = createSaxesParser(context);
  return (source) => {
    const bytes = typeof source === 'string' ? encode(source) : source;
    return plain.read(bytes) ?? readAny(bytes);
  };
}

/** As {@link createStanzaParser}, for any XML. */
export function createSaxesParser({ namespaces = {} }: StanzaContext): (bytes: Buffer) => Stanza {
  let reader: Reader | undefined;

  return (bytes) => {
    const text = decode(bytes);
    const used = reader ?? new Reader(namespaces);
    reader = undefined; // after an error, a reader is in an undefined state
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

/** A stream's header: its element, and the declarations that stanzas inherit. */
interface StreamHeader {
  readonly stream: Stanza;
  readonly namespaces: Declarations;
}

/** Parses `<stream:stream …>` as the framer provides it: an opening tag without its end. Throws STREAM_INVALID. */
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

function encode(text: string): Buffer {
  if (/\p{Surrogate}/u.test(text)) throw invalid('it contains half a surrogate pair');
  return Buffer.from(text);
}

/** Without white space at the end. */
function decode(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw invalid('it is not UTF-8');
  const text = bytes.toString('utf8');
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

/** A saxes parser and its stack of open elements. */
class Reader {
  readonly #saxes = new SaxesParser({ xmlns: false, fragment: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true });
  readonly #scope: Scope;
  readonly #open: Open[] = [];
  #end = 0;
  #root: Stanza | undefined;

  constructor(namespaces: Declarations) {
    this.#scope = new Scope(namespaces);
    // An ordinary object would also resolve `&constructor;` and other properties of Object.prototype.
    this.#saxes.ENTITIES = Object.assign(Object.create(null), { amp: '&', apos: "'", gt: '>', lt: '<', quot: '"' });
    this.#saxes.on('opentag', (tag) => this.#openTag(tag.name, tag.attributes));
    this.#saxes.on('closetag', () => this.#closeTag());
    this.#saxes.on('text', (text) => this.#text(text));
    this.#saxes.on('cdata', (text) => this.#cdata(text));
    this.#saxes.on('doctype', () => refuse('a DOCTYPE is not allowed'));
    this.#saxes.on('xmldecl', () => refuse('an XML declaration is not allowed'));
    // Namespaces in XML 1.0 §7; saxes checks this only if it resolves namespaces itself.
    this.#saxes.on(
      'processinginstruction',
      ({ target }) => target.includes(':') && refuse('a processing instruction has a colon in its name'),
    );
    this.#saxes.on('error', (error) => refuse(error.message));
  }

  read(text: string): Stanza {
    this.#root = undefined;
    this.#end += text.length; // saxes continues counting positions across writes
    this.#saxes.write(text);
    const root: Stanza | undefined = this.#root;
    if (root === undefined) throw invalid('it ends prematurely');
    return root;
  }

  #openTag(name: string, attrs: Record<string, string>): void {
    if (this.#open.length === MAX_DEPTH) throw tooDeep();
    this.#open.push({ head: resolveHead(name, attrs, this.#scope), children: [] });
  }

  #closeTag(): void {
    const closed = this.#open.pop();
    if (closed === undefined) throw invalid('a closing tag without an opening tag');
    this.#scope.leave();
    const stanza = finishRead(closed.head, closed.children);
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.children.push(stanza);
    else if (this.#saxes.position !== this.#end) throw invalid('data after its end');
    else this.#root = stanza;
  }

  #text(text: string): void {
    const parent = this.#open.at(-1);
    if (parent !== undefined) appendChild(parent.children, text);
    else if (/[^ \t\r\n]/.test(text)) throw invalid('text outside the element');
  }

  #cdata(text: string): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) throw invalid('text outside the element');
    appendChild(parent.children, text);
  }
}

function tooDeep(): ServiceError {
  return new ServiceError('STANZA_TOO_DEEP', `elements of a stanza are nested more than ${MAX_DEPTH} deep`);
}

function refuse(reason: string): never {
  throw invalid(reason);
}

/** Number of bytes that `readHead` examines. */
const maxHeadBytes = 16_384;

/**
 * Reads the beginning of a stanza that is incomplete or invalid: the element with its attributes, and the children that start before
 * the first error, each with its attributes only. Undefined if the element's own tag cannot be read. Never throws.
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
    // The elements before the error are the result.
  }
  return root === undefined ? undefined : finishRead(root, children);
}
