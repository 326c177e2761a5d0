import { isIP } from 'node:net';
import { type Network, parseNetwork } from './ip-address.ts';

/** What hosts a rule means. */
export type HostRule = {
  /** Undefined: every port. */
  readonly port: number | undefined;
} & (
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'network'; readonly network: Network }
  /** Every name below `suffix`, not that name itself. */
  | { readonly kind: 'suffix'; readonly suffix: string }
);

/**
 * Reads `host`, `*.suffix`, an address or a CIDR, each with `:port` behind it or without. IPv6 stands in brackets before a
 * port: `[fd00::/8]:443`. Undefined for what is none of these.
 */
export function parseHostRule(text: string): HostRule | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^[\]]+?))(?::(\d{1,5}))?$/.exec(unported(text)) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port === 0 || port > 65_535)) return undefined;
  if (bracketed !== undefined) return bracketed.includes(':') ? networkRule(bracketed, port) : undefined;
  return plain === undefined ? undefined : (networkRule(plain, port) ?? nameRule(plain.toLowerCase(), port));
}

/** IPv6 without brackets has no port behind it. */
function unported(text: string): string {
  return isIP(text.replace(/\/\d+$/, '')) === 6 ? `[${text}]` : text;
}

function networkRule(text: string, port: number | undefined): HostRule | undefined {
  const network = parseNetwork(text);
  return network && { kind: 'network', network, port };
}

/** A name whose last label is a number would be read as an address, and not as a name (WHATWG URL, host parser). */
function nameRule(text: string, port: number | undefined): HostRule | undefined {
  const name = text.replace(/^\*\./, '');
  if (!/^(?!-)[a-z\d_-]+(\.[a-z\d_-]+)*$/.test(name) || /(^|\.)(\d+|0x[\da-f]*)$/.test(name)) return undefined;
  return text.startsWith('*.') ? { kind: 'suffix', suffix: `.${name}`, port } : { kind: 'host', host: name, port };
}
