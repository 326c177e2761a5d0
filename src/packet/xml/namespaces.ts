/** Resolution of namespaces (Namespaces in XML 1.0). */
import { ServiceError } from '../../kit/errors.ts';

const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

/** Resolves the namespaces of an opening tag (Namespaces in XML 1.0) and enters its scope. Throws STANZA_PREFIX_INVALID. */
export function resolveHead(name: string, attrs: Record<string, string>, scope: Scope): ElementHead {
  let prefixed = 0;
  scope.enter();
  for (const attribute in attrs) {
    const prefix = declaredPrefix(attribute);
    if (prefix !== undefined) scope.declare(prefix, checkedUri(attribute, attrs[attribute] ?? ''));
    else if (attribute !== 'xml:lang' && attribute.includes(':')) prefixed += 1; // `xml:lang` needs no check and is in most stanzas
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

/** The namespaces of the attributes' prefixes. Each prefix must be declared, and no two attributes may have the same expanded name (§6.3). */
function prefixesOf(attrs: Record<string, string>, scope: Scope): Declarations {
  const prefixes: Record<string, string> = Object.create(null);
  const seen = new Set<string>();
  for (const attribute in attrs) {
    if (!attribute.includes(':') || declaredPrefix(attribute) !== undefined) continue;
    const prefix = checkedPrefix(attribute);
    const uri = scope.lookup(prefix);
    if (uri === undefined) throw invalid(`the prefix of the attribute ${attribute} is not declared`);
    const expanded = `${uri} ${attribute.slice(prefix.length + 1)}`;
    if (seen.has(expanded)) throw invalid(`the attribute ${attribute} is repeated`);
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

/** Reserved prefixes and namespaces belong to each other, and a prefix cannot be undeclared (§3, §5). */
function checkedUri(attribute: string, uri: string): string {
  checkedPrefix(attribute);
  const prefix = declaredPrefix(attribute) ?? '';
  if (prefix !== '' && uri.trim() === '') throw invalid(`the prefix ${prefix} is declared with an empty namespace`);
  if (prefix === 'xmlns' || uri === XMLNS || (prefix === 'xml') !== (uri === XML))
    throw invalid('a reserved namespace or prefix is redeclared');
  return uri;
}

function invalid(reason: string): ServiceError {
  return new ServiceError('STANZA_PREFIX_INVALID', `cannot read a stanza: ${reason}`);
}

/** The namespace declarations of one element, prefix → namespace. The prefix of the default namespace is the empty string. */
export type Declarations = Readonly<Record<string, string>>;

/**
 * The namespace declarations in force while elements are read or written in document order. A lookup takes constant time, because a
 * stanza may contain tens of thousands of declarations.
 */
export class Scope {
  /** Namespaces by prefix, the innermost last. */
  readonly #uris = new Map<string, string[]>();
  /** The declared prefixes of each open element. */
  readonly #open: string[][] = [];

  /** `outer`: inherited declarations, such as those of the stream header. */
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
      if (uris?.length === 0) this.#uris.delete(prefix); // otherwise the parser of a stream would keep every prefix
    }
  }

  /** The namespace of `prefix`; undefined if it is not declared. `xml` needs no declaration. */
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

/** An element before its children are known. */
export interface ElementHead {
  readonly name: string;
  readonly attrs: Record<string, string>;
  readonly ns: string;
  /** Namespaces of its attribute prefixes in the source; undefined if there are none or the element was built. */
  readonly prefixes: Declarations | undefined;
  /** It was built without a namespace and takes that of its parent. */
  readonly open: boolean;
}
