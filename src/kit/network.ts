import { BlockList, isIP } from 'node:net';

/** Addresses that begin alike: `10.0.0.0/8`, or one address alone. */
export interface Network {
  readonly address: string;
  /** How many bits they share. */
  readonly prefix: number;
}

/** `10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`; undefined for everything else, zones and unusual forms of IPv4 included. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', bits] = /^([\da-f:.]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return undefined;
  const most = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  return prefix > most ? undefined : { address, prefix };
}

/** Tells whether an address is in one of the networks; IPv4 that is mapped into IPv6 counts as IPv4. */
export function createNetworkTest(networks: readonly Network[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, prefix } of networks) list.addSubnet(address, prefix, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  return (address) => {
    const plain = plainAddress(address);
    return list.check(plain, isIP(plain) === 4 ? 'ipv4' : 'ipv6');
  };
}

/** The IPv4 address that a mapped one stands for (RFC 4291 §2.5.5.2); any other as it is, but for its zone. */
export function plainAddress(address: string): string {
  if (isIP(address) !== 6) return address;
  const bytes = bytesOf(address);
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
    ? ipv4Of(bytes.subarray(12))
    : withoutZone(address);
}

/**
 * The IPv4 address that packets to an IPv6 address end at, or may: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo
 * (RFC 4380), ISATAP (RFC 5214), IPv4-compatible (RFC 4291 §2.5.5.1). Undefined for every other.
 */
export function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const bytes = bytesOf(address);
  const head = bytes.toString('hex');
  if (head.startsWith('0064ff9b')) return ipv4Of(bytes.subarray(12));
  if (head.startsWith('2002')) return ipv4Of(bytes.subarray(2, 6));
  if (head.startsWith('20010000')) return ipv4Of(bytes.subarray(12).map((byte) => byte ^ 0xff));
  if (/^.{16}0[02]005efe/.test(head)) return ipv4Of(bytes.subarray(12));
  if (/^0{24}/.test(head) && !/^0{31}[01]$/.test(head)) return ipv4Of(bytes.subarray(12));
  return undefined;
}

/** The 16 bytes of an IPv6 address, which the URL parser writes in hexadecimal groups (WHATWG URL, host serializer). */
function bytesOf(address: string): Buffer {
  const [head = '', tail] = new URL(`http://[${withoutZone(address)}]`).hostname.slice(1, -1).split('::');
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')];
  const between = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return Buffer.from([...before, ...between, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** RFC 4007 §11. */
function withoutZone(address: string): string {
  return address.replace(/%.*$/, '');
}

function groupsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split(':');
}

function ipv4Of(bytes: Uint8Array): string {
  return bytes.join('.');
}

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
