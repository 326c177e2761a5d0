import type { Stanza } from '../../../pools/contract.ts';
import { escapeAttribute, escapeText } from './escape.ts';
import { declare, declaredPrefix, lookup, prefixOf, type Scope } from './scope.ts';

/**
 * An element as XML text that stands on its own: a namespace or prefix inherited from what is not written is declared
 * where it is first needed. `scopeOf` tells what the prefixes of an element's attributes meant where it was read.
 */
export function serialise(stanza: Stanza, scopeOf: (stanza: Stanza) => Scope | undefined): string {
  return write(stanza, undefined);

  function write(element: Stanza, outer: Scope | undefined): string {
    const own = declare(outer, element.attrs);
    const missing = undeclared(element, own, scopeOf(element));
    let tag = `<${element.name}`;
    for (const name in missing) tag += ` ${name}="${escapeAttribute(missing[name] ?? '')}"`;
    for (const name in element.attrs) tag += ` ${name}="${escapeAttribute(element.attrs[name] ?? '')}"`;
    if (element.children.length === 0) return `${tag}/>`;

    const inner = declare(own, missing);
    let content = '';
    for (const child of element.children) content += typeof child === 'string' ? escapeText(child) : write(child, inner);
    return `${tag}>${content}</${element.name}>`;
  }
}

/** The declarations that an element lacks, as attributes. */
function undeclared(element: Stanza, written: Scope | undefined, read: Scope | undefined): Record<string, string> {
  const missing: Record<string, string> = {};
  const prefix = prefixOf(element.name);
  if (prefix !== '') need(prefix, element.ns);
  else if ((lookup(written, '') ?? '') !== element.ns) missing['xmlns'] = element.ns;

  for (const name in element.attrs) {
    const attributePrefix = prefixOf(name);
    if (attributePrefix !== '' && declaredPrefix(name) === undefined) need(attributePrefix, lookup(read, attributePrefix));
  }
  return missing;

  function need(name: string, uri: string | undefined): void {
    if (uri !== undefined && uri !== '' && lookup(written, name) !== uri) missing[`xmlns:${name}`] = uri;
  }
}
