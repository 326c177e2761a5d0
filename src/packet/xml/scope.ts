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
