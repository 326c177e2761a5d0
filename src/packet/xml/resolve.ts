import { ServiceError } from '../../kit/errors.ts';
import type { ElementHead } from './element.ts';
import { type Declarations, declaredPrefix, prefixOf, type Scope } from './scope.ts';

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
