import { isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import type { Profile } from './stringprep.ts';

/**
 * A domain as JIDs compare it: lower case, without a final dot, each label as its U-label. `xn--` labels are decoded as
 * IDNA2003 does (RFC 3490 §4.2), and left as they are where decoding and encoding do not give the same label back.
 * Undefined for an empty label, a prohibited character, or an ASCII character that host names cannot have.
 */
export function prepareDomain(domain: string, nameprep: Profile): string | undefined {
  if (domain.startsWith('[')) return isBracketed(domain) ? domain.toLowerCase() : undefined;

  const labels: string[] = [];
  for (const label of domain.replace(FINAL_DOT, '').split(DOT)) {
    const prepared = nameprep(label);
    if (prepared === undefined || prepared === '' || FORBIDDEN_ASCII.test(prepared)) return undefined;
    labels.push(prepared.startsWith('xn--') ? decoded(prepared, nameprep) : prepared);
  }
  return labels.join('.');
}

/** The characters that IDNA takes for a dot (RFC 3490 §3.1). */
const DOT = /[.\u3002\uff0e\uff61]/;
const FINAL_DOT = /[.\u3002\uff0e\uff61]$/;
/** Letters, digits, hyphen, and the underscore that host names in use have all the same. */
const FORBIDDEN_ASCII = /[^-0-9a-z_\u0080-\u{10ffff}]/u;

function isBracketed(domain: string): boolean {
  return domain.endsWith(']') && isIPv6(domain.slice(1, -1));
}

function decoded(label: string, nameprep: Profile): string {
  const unicode = domainToUnicode(label);
  const keeps = unicode !== '' && nameprep(unicode) === unicode && domainToASCII(unicode) === label;
  return keeps ? unicode : label;
}
