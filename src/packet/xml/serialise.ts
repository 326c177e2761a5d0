import type { Stanza } from '../../model/packet.ts';
import { escapeAttribute, escapeText } from './escape.ts';
import { type Declarations, declaredPrefix, prefixOf, Scope } from './scope.ts';

/**
 * An element as XML text that stands on its own: a namespace or prefix inherited from what is not written is declared
 * where it is first needed. `prefixesOf` gives the namespaces of an element's attribute prefixes where it was read.
 */
export function serialise(stanza: Stanza, prefixesOf: (stanza: Stanza) => Declarations | undefined): string {
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

/** The declarations that an element lacks: prefix and namespace. */
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
