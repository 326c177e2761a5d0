/** Checks a destination that another party has chosen, by its name and by every address that the name resolves to. */
import { isIP } from 'node:net';
import type { Resolve } from '../src/kit/dial-tcp.ts';
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
import { createMetadataTest, metadataNames } from './egress.ts';
import { DESTINATION_REFUSED } from './exchange.ts';

/** Resolves a name and checks its addresses. Only these addresses are dialled, so a second lookup cannot evade the check. */
export function guarded(resolve: Resolve, guard: DestinationGuard): Resolve {
  return (name, options, found) => {
    resolve(name, options, (error, addresses) => {
      if (error !== null) return found(error, []);
      const refusal = addresses.map(({ address }) => guard.refusalOf(address)).find((each) => each !== undefined);
      if (refusal === undefined) return found(null, addresses);
      found(destinationRefused(`${name} resolves to an address that is refused: ${refusal}`), []);
    });
  };
}

export function destinationRefused(message: string): Error {
  return Object.assign(new Error(message), { code: DESTINATION_REFUSED });
}

export interface DestinationGuard {
  /** Reason why the destination is refused by its name or literal address; undefined: the name may be resolved. */
  readonly refusal: string | undefined;
  /** Reason why an address of the destination's name must not be dialled, or undefined. */
  refusalOf(address: string): string | undefined;
}

/**
 * An address that is not public must be covered by an address or CIDR in `allow`. A name in `allow` is not enough, because the
 * operator of its DNS may point it to any address. The host of the handler's own pool is exempt, because pushes go there anyway.
 * Link-local addresses and those of cloud metadata services must also be covered by `allowedMetadata` (`[egress] allow`).
 */
export function guardDestination({ origin, allow, ownOrigin }: Destination, allowedMetadata: readonly string[] = []): DestinationGuard {
  const isMetadata = createMetadataTest(allowedMetadata);
  const { host, port } = hostAndPort(origin);
  const rules = allow.flatMap((text) => parseHostRule(text) ?? []).filter((rule) => rule.port === undefined || rule.port === port);
  const isListed = createNetworkTest(rules.flatMap((rule) => (rule.kind === 'network' ? rule.network : [])));
  const own = hostAndPort(ownOrigin);
  const isOwn = own.host === host && own.port === port;

  function refusalOf(address: string): string | undefined {
    const addresses = [plainAddress(address), embeddedIpv4(address) ?? []].flat();
    if (isMetadata(address) !== undefined || addresses.some(isNoDestination))
      return `${address} is an address that no request may be ordered to`;
    if (isOwn || isListed(address)) return undefined;
    const isOpen = addresses.every((each) => isPublic(each) || isListed(each));
    return isOpen ? undefined : `${address} is not a public address, and allow has no address or CIDR that covers it`;
  }

  function refusal(): string | undefined {
    if (metadataNames.has(host)) return `${host} is a name that no request may be ordered to`;
    const isLiteral = isIP(host) !== 0;
    const isAllowed = isLiteral ? isListed(host) : rules.some((rule) => matchesName(rule, host));
    if (!isAllowed) return `allow does not list ${host} with port ${port}`;
    return isLiteral ? refusalOf(host) : undefined;
  }

  return { refusal: refusal(), refusalOf };
}

/** The host in its canonical form (WHATWG URL, host parser): `0x7f.1` is 127.0.0.1. */
function hostAndPort(origin: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  return { host, port: Number(port || (protocol === 'https:' ? 443 : 80)) };
}

function matchesName(rule: HostRule, host: string): boolean {
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
  return !isSpecialPurpose(address) && (isIP(address) === 4 || isGlobal(address));
}

/** Addresses that are not destinations. */
const isNoDestination = createNetworkTest(['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::', 'ff00::/8'].map(network));

/** Not globally reachable according to the registries of special-purpose addresses (RFC 6890). */
const isSpecialPurpose = createNetworkTest(
  [
    ...['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24'],
    ...['192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '2001::/23', '2001:db8::/32', '3fff::/20'],
  ].map(network),
);

/** Globally reachable IPv6, including NAT64, whose embedded IPv4 address is checked as well. */
const isGlobal = createNetworkTest(['2000::/3', '64:ff9b::/96'].map(network));

function network(text: string): Network {
  const read = parseNetwork(text);
  if (read === undefined) throw new Error(`${text} is not a network`);
  return read;
}
