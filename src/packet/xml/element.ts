/** XML elements: building, searching, serialising and escaping. */
import type { Stanza } from '../../model/packet.ts';
import { type Declarations, declaredPrefix, type ElementHead, prefixOf, Scope } from './namespaces.ts';

export type Child = Stanza | string;

/**
 * Builds an element. An undefined attribute is omitted. A built child without a namespace takes that of its parent, as in XML.
 * Adjacent texts are merged, empty ones removed.
 */
export function element(
  name: string,
  attrs: Readonly<Record<string, number | string | undefined>> = {},
  children: readonly Child[] = [],
): Stanza {
  const written = new Attributes();
  for (const key of Object.keys(attrs)) {
    const value = attrs[key];
    if (value !== undefined) written[key] = String(value);
  }
  const prefix = prefixOf(name);
  const own = written[prefix === '' ? 'xmlns' : `xmlns:${prefix}`];
  return finish({ name, attrs: written, ns: own ?? '', prefixes: undefined, open: own === undefined && prefix === '' }, children);
}

/** Copies an element with other children. */
export function withChildren(stanza: Stanza, children: readonly Child[]): Stanza {
  const { name, attrs, ns } = stanza;
  return finish({ name, attrs, ns, prefixes: Element.prefixesOf(stanza), open: false }, children);
}

/** The element as self-contained XML text. `stanza.xml` caches the result. */
export function toXml(stanza: Stanza): string {
  return serialise(stanza, Element.prefixesOf);
}

/**
 * The first child element of this name. With `ns`, the local name and the namespace are compared; without it, the name as written.
 */
export function findChild(stanza: Stanza, name: string, ns?: string): Stanza | undefined {
  for (const child of stanza.children) if (typeof child !== 'string' && matches(child, name, ns)) return child;
  return undefined;
}

/** All child elements of this name; see {@link findChild}. */
export function findChildren(stanza: Stanza, name: string, ns?: string): Stanza[] {
  const found: Stanza[] = [];
  for (const child of stanza.children) if (typeof child !== 'string' && matches(child, name, ns)) found.push(child);
  return found;
}

/** The children that are elements, in order. */
export function childElements(stanza: Stanza): Stanza[] {
  return stanza.children.filter((child) => typeof child !== 'string');
}

/** The name without its prefix. */
export function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function matches(child: Stanza, name: string, ns: string | undefined): boolean {
  return ns === undefined ? child.name === name : child.ns === ns && localName(child.name) === name;
}

function finish(head: ElementHead, children: readonly Child[]): Stanza {
  const adopted = children.map((child) => (typeof child === 'string' ? child : Element.adopt(child, head.ns)));
  return freezeStanza(new Element(head, merged(adopted)));
}

/** Freezes an element at every level and returns it. Built elements are frozen at once, those of a parser before a callback module sees them. */
export function freezeStanza(stanza: Stanza): Stanza {
  if (Object.isFrozen(stanza)) return stanza;
  for (const child of stanza.children) if (typeof child !== 'string') freezeStanza(child);
  Object.freeze(stanza.attrs);
  Object.freeze(stanza.children);
  return Object.freeze(stanza);
}

/** Creates an element from the parser's head and children, which need no adoption or merging. Freezing it would take as long as parsing. */
export function finishRead(head: ElementHead, children: Child[]): Stanza {
  return new Element(head, children);
}

function merged(children: readonly Child[]): Child[] {
  const result: Child[] = [];
  for (const child of children) appendChild(result, child);
  return result;
}

/** Appends a child and merges adjacent texts. */
export function appendChild(children: Child[], child: Child): void {
  if (child === '') return;
  const last = children.at(-1);
  if (typeof child === 'string' && typeof last === 'string') children[children.length - 1] = last + child;
  else children.push(child);
}

/**
 * The attributes of an element. Objects of one class, so that V8 gives those with the same names the same shape and finds their
 * properties fast; without a prototype that has properties, so that an attribute may be called `__proto__` or `constructor`.
 */
export class Attributes {
  [name: string]: string;

  static {
    Reflect.deleteProperty(Attributes.prototype, 'constructor');
    Object.setPrototypeOf(Attributes.prototype, null);
  }
}

const NO_CHILDREN: readonly Child[] = Object.freeze([]);

class Element implements Stanza {
  readonly name: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly ns: string;
  readonly children: readonly Child[];
  readonly #prefixes: Declarations | undefined;
  readonly #open: boolean;
  #xml: string | undefined;

  constructor(head: ElementHead, children: Child[]) {
    this.name = head.name;
    this.attrs = head.attrs;
    this.ns = head.ns;
    this.children = children.length === 0 ? NO_CHILDREN : children;
    this.#prefixes = head.prefixes;
    this.#open = head.open;
  }

  static prefixesOf(stanza: Stanza): Declarations | undefined {
    return stanza instanceof Element ? stanza.#prefixes : undefined;
  }

  /** Returns `child` with the namespace `ns` if it was built without one, and so for its descendants. */
  static adopt(child: Stanza, ns: string): Stanza {
    if (!(child instanceof Element) || !child.#open || child.ns === ns) return child;
    return finish({ name: child.name, attrs: child.attrs, ns, prefixes: undefined, open: true }, child.children);
  }

  get xml(): string {
    this.#xml ??= toXml(this);
    return this.#xml;
  }

  text(...path: readonly string[]): string {
    let at: Stanza = this;
    for (const name of path) {
      const next = findChild(at, name);
      if (next === undefined) return '';
      at = next;
    }
    return ownText(at);
  }
}

function ownText(stanza: Stanza): string {
  let text = '';
  for (const child of stanza.children) if (typeof child === 'string') text += child;
  return text;
}

/**
 * Serialises an element as self-contained XML text: an inherited namespace or prefix is declared where it is first needed.
 * `prefixesOf` returns the namespaces of an element's attribute prefixes in its source.
 */
function serialise(stanza: Stanza, prefixesOf: (stanza: Stanza) => Declarations | undefined): string {
  const scope = new Scope();
  return write(stanza);

  function write(element: Stanza): string {
    scope.enter();
    let declared = '';
    let own = '';
    for (const name in element.attrs) {
      const value = element.attrs[name] ?? '';
      const prefix = declaredPrefix(name);
      if (prefix !== undefined) scope.declare(prefix, value);
      own += ` ${name}="${escapeAttribute(value)}"`;
    }
    for (const [prefix, uri] of undeclared(element, scope, prefixesOf(element))) {
      scope.declare(prefix, uri);
      declared += ` ${prefix === '' ? 'xmlns' : `xmlns:${prefix}`}="${escapeAttribute(uri)}"`;
    }
    let content = '';
    for (const child of element.children) content += typeof child === 'string' ? escapeText(child) : write(child);
    scope.leave();
    const tag = `<${element.name}${declared}${own}`;
    return element.children.length === 0 ? `${tag}/>` : `${tag}>${content}</${element.name}>`;
  }
}

/** The declarations that an element lacks, prefix → namespace. */
function undeclared(element: Stanza, written: Scope, read: Declarations | undefined): ReadonlyMap<string, string> {
  const prefix = prefixOf(element.name);
  if (prefix === '' && read === undefined && (written.lookup('') ?? '') === element.ns) return NOTHING;

  const missing = new Map<string, string>();
  if (prefix !== '') need(prefix, element.ns);
  else if ((written.lookup('') ?? '') !== element.ns) missing.set('', element.ns);
  for (const attributePrefix in read) need(attributePrefix, read[attributePrefix]);
  return missing;

  function need(name: string, uri: string | undefined): void {
    if (uri !== undefined && uri !== '' && written.lookup(name) !== uri) missing.set(name, uri);
  }
}

const NOTHING: ReadonlyMap<string, string> = new Map();

/**
 * Escapes text between tags. A character that XML 1.0 does not allow becomes U+FFFD, because a chat server would close the stream
 * over it.
 */
export function escapeText(text: string): string {
  return TEXT_SPECIALS.test(text) ? text.replace(TEXT_SPECIAL, escaped) : text;
}

/** Escapes text between double quotes. Line ends and tabs become references, so that they are preserved (XML 1.0 §3.3.3). */
export function escapeAttribute(value: string): string {
  return ATTRIBUTE_SPECIALS.test(value) ? value.replace(ATTRIBUTE_SPECIAL, escaped) : value;
}

const TEXT_SPECIALS = /[&<>\ufffe\uffff]|\p{Surrogate}|(?![\t\n\x7f-\x9f])\p{Cc}/u;
const TEXT_SPECIAL = new RegExp(TEXT_SPECIALS, 'gu');
const ATTRIBUTE_SPECIALS = /[&<>"'\ufffe\uffff]|\p{Surrogate}|(?![\x7f-\x9f])\p{Cc}/u;
const ATTRIBUTE_SPECIAL = new RegExp(ATTRIBUTE_SPECIALS, 'gu');

function escaped(character: string): string {
  switch (character) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    case "'":
      return '&apos;';
    case '\t':
      return '&#9;';
    case '\n':
      return '&#10;';
    case '\r':
      return '&#13;';
    default:
      return '\ufffd';
  }
}

/** XML 1.0 §2.2. */
const notInXml = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** Whether XML can represent a text; most control characters have no representation. */
export function isXmlText(text: string): boolean {
  return !notInXml.test(text);
}
