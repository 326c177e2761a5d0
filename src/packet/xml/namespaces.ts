import { ServiceError } from '../../kit/errors.ts';

const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

/** An opening tag with its namespace resolved (Namespaces in XML 1.0); it enters the scope. Throws STANZA_PREFIX_INVALID. */
export function resolveHead(name: string, attrs: Record<string, string>, scope: Scope): ElementHead {
  let prefixed = 0;
  scope.enter();
  for (const attribute in attrs) {
    const prefix = declaredPrefix(attribute);
    if (prefix !== undefined) scope.declare(prefix, checkedUri(attribute, attrs[attribute] ?? ''));
    else if (attribute !== 'xml:lang' && attribute.includes(':')) prefixed += 1; // that one needs no check, and stands in most stanzas
  }
  const prefixes = prefixed > 0 ? prefixesOf(attrs, scope) : undefined;
  return { name, attrs, ns: namespaceOf(name, scope), prefixes, open: false };
}

function namespaceOf(name: string, scope: Scope): string {
  const prefix = checkedPrefix(name);
  const uri = scope.lookup(prefix);
  if (prefix !== '' && uri === undefined) throw invalid(`the prefix of the element ${name} is not declared`);
  return uri ?? '';
}

/** The namespaces of the attributes' prefixes. Each must be declared, and no two attributes may have the same expanded name (§6.3). */
function prefixesOf(attrs: Record<string, string>, scope: Scope): Declarations {
  const prefixes: Record<string, string> = Object.create(null);
  const seen = new Set<string>();
  for (const attribute in attrs) {
    if (!attribute.includes(':') || declaredPrefix(attribute) !== undefined) continue;
    const prefix = checkedPrefix(attribute);
    const uri = scope.lookup(prefix);
    if (uri === undefined) throw invalid(`the prefix of the attribute ${attribute} is not declared`);
    const expanded = `${uri} ${attribute.slice(prefix.length + 1)}`;
    if (seen.has(expanded)) throw invalid(`the attribute ${attribute} stands twice`);
    seen.add(expanded);
    prefixes[prefix] = uri;
  }
  return prefixes;
}

function checkedPrefix(name: string): string {
  const colon = name.indexOf(':');
  if (colon === -1) return '';
  if (colon === 0 || colon === name.length - 1 || name.includes(':', colon + 1)) throw invalid(`the name ${name} has a misplaced colon`);
  return prefixOf(name);
}

/** The reserved prefixes and namespaces keep to each other, and a prefix cannot be undeclared (§3, §5). */
function checkedUri(attribute: string, uri: string): string {
  checkedPrefix(attribute);
  const prefix = declaredPrefix(attribute) ?? '';
  if (prefix !== '' && uri.trim() === '') throw invalid(`the prefix ${prefix} is declared as nothing`);
  if (prefix === 'xmlns' || uri === XMLNS || (prefix === 'xml') !== (uri === XML)) throw invalid('a reserved namespace is declared anew');
  return uri;
}

function invalid(reason: string): ServiceError {
  return new ServiceError('STANZA_PREFIX_INVALID', `cannot read a stanza: ${reason}`);
}

/** The namespace declarations of one element, prefix → namespace; that of the default namespace is the empty string. */
export type Declarations = Readonly<Record<string, string>>;

/**
 * The namespace declarations in force while elements are read or written from beginning to end. A look-up costs the same
 * however many declarations there are: a stanza may hold tens of thousands.
 */
export class Scope {
  /** By prefix, innermost last. */
  readonly #uris = new Map<string, string[]>();
  /** The declarations of each open element. */
  readonly #open: string[][] = [];

  /** Starts with outer declarations, such as those of the stream header. */
  constructor(outer: Declarations = {}) {
    for (const [prefix, uri] of Object.entries(outer)) this.#uris.set(prefix, [uri]);
  }

  /** An element begins. */
  enter(): void {
    this.#open.push(NONE);
  }

  /** The innermost element declares a prefix. */
  declare(prefix: string, uri: string): void {
    const uris = this.#uris.get(prefix);
    if (uris === undefined) this.#uris.set(prefix, [uri]);
    else uris.push(uri);
    const last = this.#open.length - 1;
    if (this.#open[last] === NONE) this.#open[last] = [prefix];
    else this.#open[last]?.push(prefix);
  }

  /** The innermost element ends. */
  leave(): void {
    for (const prefix of this.#open.pop() ?? NONE) {
      const uris = this.#uris.get(prefix);
      uris?.pop();
      if (uris?.length === 0) this.#uris.delete(prefix); // otherwise a parser would keep every prefix it has seen
    }
  }

  /** The namespace of `prefix`; undefined without a declaration. `xml` needs none. */
  lookup(prefix: string): string | undefined {
    return this.#uris.get(prefix)?.at(-1) ?? (prefix === 'xml' ? 'http://www.w3.org/XML/1998/namespace' : undefined);
  }
}

/** Shared by elements without declarations; never modified. */
const NONE: string[] = [];

/** The prefix that an attribute of this name declares: empty for `xmlns`, undefined for any other attribute. */
export function declaredPrefix(attribute: string): string | undefined {
  if (!attribute.startsWith('xmlns')) return undefined;
  if (attribute.length === 5) return '';
  return attribute.startsWith(':', 5) ? attribute.slice(6) : undefined;
}

/** The part of a name before its colon; empty without one. */
export function prefixOf(name: string): string {
  const colon = name.indexOf(':');
  return colon === -1 ? '' : name.slice(0, colon);
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
