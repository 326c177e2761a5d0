/**
 * Where an ordered request may go. A backend says where, so nothing is trusted: the name must be allowed, and so must every
 * address that it resolves to, at the moment when one of them is dialled.
 */
import { isIP } from 'node:net';
import {
  createNetworkTest,
  embeddedIpv4,
  type HostRule,
  type Network,
  parseHostRule,
  parseNetwork,
  plainAddress,
} from '../src/kit/network.ts';
import type { Destination } from '../src/model/delivery.ts';

export interface DestinationGuard {
  /** Why the destination is refused by what it is called, its literal address included; undefined: it may be looked up. */
  readonly refusal: string | undefined;
  /** Why an address that its name resolved to must not be dialled, or undefined. */
  refusalOf(address: string): string | undefined;
}

/**
 * An address that is no public one is reached only where an address or a CIDR of `allow` covers it: a name alone does not
 * do, since whoever runs the name's DNS may point it anywhere. The host of the handler's own pool is excepted: pushes go
 * there anyway. Link-local addresses and those of clouds' metadata services are refused whatever `allow` says.
 */
export function guardDestination({ origin, allow, ownOrigin }: Destination): DestinationGuard {
  const { host, port } = placeOf(origin);
  const rules = allow.flatMap((text) => parseHostRule(text) ?? []).filter((rule) => rule.port === undefined || rule.port === port);
  const isListed = createNetworkTest(rules.flatMap((rule) => (rule.kind === 'network' ? rule.network : [])));
  const own = placeOf(ownOrigin);
  const isOwn = own.host === host && own.port === port;

  function refusalOf(address: string): string | undefined {
    const ends = [plainAddress(address), embeddedIpv4(address) ?? []].flat();
    if (ends.some(isNever)) return `${address} is an address that no request may be ordered to`;
    if (isOwn || isListed(address)) return undefined;
    const inside = ends.find((end) => !isPublic(end) && !isListed(end));
    return inside === undefined ? undefined : `${address} is no public address, and allow has no address or CIDR that covers it`;
  }

  function refusal(): string | undefined {
    if (metadataNames.has(host)) return `${host} is a name that no request may be ordered to`;
    const isLiteral = isIP(host) !== 0;
    const isNamed = isLiteral ? isListed(host) : rules.some((rule) => names(rule, host));
    if (!isNamed) return `allow does not list ${host} with port ${port}`;
    return isLiteral ? refusalOf(host) : undefined;
  }

  return { refusal: refusal(), refusalOf };
}

/** The host in its one form, whatever way it was written (WHATWG URL, host parser): `0x7f.1` is 127.0.0.1. */
export function placeOf(origin: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  return { host, port: Number(port || (protocol === 'https:' ? 443 : 80)) };
}

function names(rule: HostRule, host: string): boolean {
  switch (rule.kind) {
    case 'host':
      return rule.host === host;
    case 'suffix':
      return host.endsWith(rule.suffix);
    case 'network':
      return false;
    default:
      return rule satisfies never;
  }
}

function isPublic(address: string): boolean {
  return !isInside(address) && (isIP(address) === 4 || isGlobal(address));
}

const metadataNames = new Set([
  'instance-data',
  'instance-data.ec2.internal',
  'metadata',
  'metadata.azure.internal',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
]);

/** Metadata services and what runs beside them (AWS, Azure, Google, Alibaba, Oracle, Scaleway), link-local, and what is no destination. */
const isNever = createNetworkTest(
  [
    ...['169.254.0.0/16', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
    ...['fd00:ec2::/32', 'fd20:ce::254', 'fd00:42::42', 'fe80::/10'],
    ...['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::', 'ff00::/8'],
  ].map(network),
);

/** Not reachable from everywhere: the registries of special-purpose addresses (RFC 6890). */
const isInside = createNetworkTest(
  [
    ...['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24'],
    ...['192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '2001::/23', '2001:db8::/32', '3fff::/20'],
  ].map(network),
);

/** All of IPv6 that is, NAT64 included, whose end is judged beside. */
const isGlobal = createNetworkTest(['2000::/3', '64:ff9b::/96'].map(network));

function network(text: string): Network {
  const read = parseNetwork(text);
  if (read === undefined) throw new Error(`${text} is no network`);
  return read;
}
