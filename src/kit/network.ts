/** IP networks, and rules that match hosts by name, address or network. */
import { BlockList, isIP } from 'node:net';

/** A block of addresses such as `10.0.0.0/8`, or a single address. */
export interface Network {
  readonly address: string;
  /** Number of shared leading bits. */
  readonly prefix: number;
}

/** Parses `10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`; undefined for anything else, including zones and unusual forms of IPv4. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', bits] = /^([\da-f:.]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return undefined;
  const maxPrefix = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? maxPrefix : Number(bits);
  return prefix > maxPrefix ? undefined : { address, prefix };
}

/** Creates a test of whether an address is in one of the networks. IPv4-mapped IPv6 counts as IPv4. */
export function createNetworkTest(networks: readonly Network[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, prefix } of networks) list.addSubnet(address, prefix, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  return (address) => {
    const plain = plainAddress(address);
    return list.check(plain, isIP(plain) === 4 ? 'ipv4' : 'ipv6');
  };
}

/** The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2); any other address unchanged, without its zone. */
export function plainAddress(address: string): string {
  if (isIP(address) !== 6) return address;
  const bytes = bytesOf(address);
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
    ? ipv4Of(bytes.subarray(12))
    : withoutZone(address);
}

/**
 * The IPv4 address at which packets to an IPv6 address may end: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo
 * (RFC 4380), ISATAP (RFC 5214), IPv4-compatible (RFC 4291 §2.5.5.1). Undefined for any other address.
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

/** The 16 bytes of an IPv6 address. The URL parser normalises it to hexadecimal groups (WHATWG URL, host serializer). */
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

/** A rule that matches hosts. */
export type HostRule = {
  /** Undefined matches every port. */
  readonly port: number | undefined;
} & (
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'network'; readonly network: Network }
  /** Names that end in `suffix` (which begins with a dot), excluding the name itself. */
  | { readonly kind: 'suffix'; readonly suffix: string }
);

/**
 * Parses `host`, `*.suffix`, an address or a CIDR block, each with an optional `:port`. IPv6 with a port needs brackets:
 * `[fd00::/8]:443`. Undefined for anything else.
 */
export function parseHostRule(text: string): HostRule | undefined {
  const [, ipv6, plain, digits] = /^(?:\[([^\]]+)\]|([^[\]]+?))(?::(\d{1,5}))?$/.exec(bracketed(text)) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port === 0 || port > 65_535)) return undefined;
  if (ipv6 !== undefined) return ipv6.includes(':') ? networkRule(ipv6, port) : undefined;
  return plain === undefined ? undefined : (networkRule(plain, port) ?? nameRule(plain.toLowerCase(), port));
}

/** Adds brackets to bare IPv6, which has no port. */
function bracketed(text: string): string {
  return isIP(text.replace(/\/\d+$/, '')) === 6 ? `[${text}]` : text;
}

function networkRule(text: string, port: number | undefined): HostRule | undefined {
  const network = parseNetwork(text);
  return network && { kind: 'network', network, port };
}

/** A name whose last label is a number is refused, because URL parsers read it as an address (WHATWG URL, host parser). */
function nameRule(text: string, port: number | undefined): HostRule | undefined {
  const name = text.replace(/^\*\./, '');
  if (!/^(?!-)[a-z\d_-]+(\.[a-z\d_-]+)*$/.test(name) || /(^|\.)(\d+|0x[\da-f]*)$/.test(name)) return undefined;
  return text.startsWith('*.') ? { kind: 'suffix', suffix: `.${name}`, port } : { kind: 'host', host: name, port };
}
