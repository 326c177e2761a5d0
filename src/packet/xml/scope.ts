/** Namespace declarations in force, innermost first. The prefix of the default namespace is the empty string. */
export interface Scope {
  readonly prefix: string;
  readonly uri: string;
  readonly outer: Scope | undefined;
}

/** The declarations of a record, prefix → namespace. */
export function scopeOf(namespaces: Readonly<Record<string, string>>): Scope | undefined {
  let scope: Scope | undefined;
  for (const [prefix, uri] of Object.entries(namespaces)) scope = { prefix, uri, outer: scope };
  return scope;
}

/** The namespace that `prefix` stands for; undefined when nobody declared it. `xml` needs no declaration. */
export function lookup(scope: Scope | undefined, prefix: string): string | undefined {
  for (let at = scope; at !== undefined; at = at.outer) if (at.prefix === prefix) return at.uri;
  return prefix === 'xml' ? 'http://www.w3.org/XML/1998/namespace' : undefined;
}

/** `outer` with the `xmlns` and `xmlns:…` attributes of one element added. */
export function declare(outer: Scope | undefined, attrs: Readonly<Record<string, string>>): Scope | undefined {
  let scope = outer;
  for (const name in attrs) {
    const prefix = declaredPrefix(name);
    if (prefix !== undefined) scope = { prefix, uri: attrs[name] ?? '', outer: scope };
  }
  return scope;
}

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
