import type { Stanza } from '../../model/packet.ts';
import { type Declarations, prefixOf } from './scope.ts';
import { serialise } from './serialise.ts';

export { escapeAttribute, escapeText } from './escape.ts';

export type Child = Stanza | string;

/**
 * Builds an element for sending. An attribute that is undefined is left out. A built child without a namespace of its
 * own takes its parent's, as it would in XML; adjacent texts become one and empty ones vanish.
 */
export function element(
  name: string,
  attrs: Readonly<Record<string, number | string | undefined>> = {},
  children: readonly Child[] = [],
): Stanza {
  const written: Record<string, string> = Object.create(null);
  for (const key of Object.keys(attrs)) {
    const value = attrs[key];
    if (value !== undefined) written[key] = String(value);
  }
  const prefix = prefixOf(name);
  const own = written[prefix === '' ? 'xmlns' : `xmlns:${prefix}`];
  return finish({ name, attrs: written, ns: own ?? '', prefixes: undefined, open: own === undefined && prefix === '' }, children);
}

/** The same element with other children. */
export function withChildren(stanza: Stanza, children: readonly Child[]): Stanza {
  const { name, attrs, ns } = stanza;
  return finish({ name, attrs, ns, prefixes: Element.prefixesOf(stanza), open: false }, children);
}

/** The element as XML text that stands on its own. `stanza.xml` is this, kept after the first time. */
export function toXml(stanza: Stanza): string {
  return serialise(stanza, Element.prefixesOf);
}

/**
 * The first child element of this name. With `ns` the local name and the namespace decide, however the prefix is
 * spelled; without it the name as written.
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

/** The children that are elements, in their order. */
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

/** What an element is before its children are known. */
export interface ElementHead {
  readonly name: string;
  readonly attrs: Record<string, string>;
  readonly ns: string;
  /** Namespaces of its attribute prefixes where it was read; undefined if there are none or the element was built. */
  readonly prefixes: Declarations | undefined;
  /** It was built without a namespace, and takes that of the parent it is given to. */
  readonly open: boolean;
}

function finish(head: ElementHead, children: readonly Child[]): Stanza {
  const adopted = children.map((child) => (typeof child === 'string' ? child : Element.adopt(child, head.ns)));
  return new Element(head, merged(adopted));
}

/** Makes the frozen element of a head and children that are final already, as the parser's are. */
export function finishRead(head: ElementHead, children: Child[]): Stanza {
  return new Element(head, children);
}

function merged(children: readonly Child[]): Child[] {
  const result: Child[] = [];
  for (const child of children) appendChild(result, child);
  return result;
}

/** Appends a child, keeping the rule that no two texts stand side by side. */
export function appendChild(children: Child[], child: Child): void {
  if (child === '') return;
  const last = children.at(-1);
  if (typeof child === 'string' && typeof last === 'string') children[children.length - 1] = last + child;
  else children.push(child);
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
    this.attrs = Object.freeze(head.attrs);
    this.ns = head.ns;
    this.children = children.length === 0 ? NO_CHILDREN : Object.freeze(children);
    this.#prefixes = head.prefixes;
    this.#open = head.open;
    Object.freeze(this);
  }

  static prefixesOf(stanza: Stanza): Declarations | undefined {
    return stanza instanceof Element ? stanza.#prefixes : undefined;
  }

  /** `child` with the namespace `ns` if it was built without one, and so for those below it. */
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
