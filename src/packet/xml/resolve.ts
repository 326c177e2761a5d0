import { ServiceError } from '../../kit/errors.ts';
import type { ElementHead } from './element.ts';
import { declaredPrefix, lookup, prefixOf, type Scope } from './scope.ts';

const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

/** An opening tag with its namespace resolved inside `outer` (Namespaces in XML 1.0). Throws STREAM_INVALID. */
export function resolveHead(name: string, attrs: Record<string, string>, outer: Scope | undefined): ElementHead {
  let scope = outer;
  let prefixed = 0;
  for (const attribute in attrs) {
    const prefix = declaredPrefix(attribute);
    if (prefix !== undefined) scope = { prefix, uri: checkedUri(attribute, attrs[attribute] ?? ''), outer: scope };
    else if (attribute !== 'xml:lang' && attribute.includes(':')) prefixed += 1; // that one needs no check, and stands in most stanzas
  }
  if (prefixed > 0) checkAttributes(attrs, scope);
  return { name, attrs, ns: namespaceOf(name, scope), scope, open: false };
}

function namespaceOf(name: string, scope: Scope | undefined): string {
  const prefix = checkedPrefix(name);
  const uri = lookup(scope, prefix);
  if (prefix !== '' && uri === undefined) throw invalid(`nobody declared the prefix of the element ${name}`);
  return uri ?? '';
}

/** Every prefix is declared, and no two attributes are the same one under two prefixes (§6.3). */
function checkAttributes(attrs: Record<string, string>, scope: Scope | undefined): void {
  const seen = new Set<string>();
  for (const attribute in attrs) {
    if (!attribute.includes(':') || declaredPrefix(attribute) !== undefined) continue;
    const prefix = checkedPrefix(attribute);
    const uri = lookup(scope, prefix);
    if (uri === undefined) throw invalid(`nobody declared the prefix of the attribute ${attribute}`);
    const expanded = `${uri} ${attribute.slice(prefix.length + 1)}`;
    if (seen.has(expanded)) throw invalid(`the attribute ${attribute} stands twice`);
    seen.add(expanded);
  }
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
