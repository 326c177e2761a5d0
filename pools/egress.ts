/**
 * How the connections of a pool leave this machine: through an HTTP proxy, if there is one, and never to the metadata services of clouds,
 * which give credentials to any program that can reach them. Every address is checked when it is dialled, whatever its name resolved to
 * before.
 */
import { lookup as systemLookup } from 'node:dns';
import { request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { type Dialling, dialTcp, type Endpoint, type Resolve } from '../src/kit/dial-tcp.ts';
import { createNetworkTest, embeddedIpv4, type HostRule, parseHostRule, parseNetwork, plainAddress } from '../src/kit/network.ts';
import type { PoolThreadSettings } from './contract.ts';

export type Egress = PoolThreadSettings['egress'];

/** Opens a TCP connection to an endpoint, as `dialTcp` does. */
export type Connect = typeof dialTcp;

/** Code of an attempt whose address must not be dialled. It is retried: the name may have another address soon. */
export const ADDRESS_REFUSED = 'ADDRESS_REFUSED';
/** Code of an attempt whose connection the proxy did not make. */
export const PROXY_FAILED = 'PROXY_FAILED';

/** `resolve` resolves the names of proxies, and of endpoints without a resolver of their own; default: the system's. */
export function connectThrough(egress: Egress, resolve: Resolve = systemLookup): Connect {
  const refusalOf = createMetadataTest(egress.allow);
  const proxy = egress.proxy === undefined ? undefined : new URL(egress.proxy);
  const isDirect = createDirectTest(egress.direct);
  const checked = (endpoint: Endpoint): Endpoint => ({ ...endpoint, resolve: checking(endpoint.resolve ?? resolve, refusalOf) });

  return (endpoint, dialled) => {
    const refusal = refusalOf(endpoint.host);
    if (refusal !== undefined) return failing(refused(refusal), dialled);
    if (proxy === undefined || isDirect(endpoint)) return dialTcp(checked(endpoint), dialled);
    const address = { host: proxy.hostname.replace(/^\[|\]$/g, ''), port: Number(proxy.port || 80) };
    const proxyRefusal = refusalOf(address.host);
    if (proxyRefusal !== undefined) return failing(refused(`the proxy: ${proxyRefusal}`), dialled);
    return new Tunnel({ endpoint, proxy, proxyEndpoint: checked({ ...address, resolve }) }, dialled);
  };
}

type Dialled = Parameters<Connect>[1];

function refused(message: string): Error {
  return Object.assign(new Error(message), { code: ADDRESS_REFUSED });
}

function failing(error: Error, dialled: Dialled): Dialling {
  let isCancelled = false;
  queueMicrotask(() => {
    if (!isCancelled) dialled(error, undefined);
  });
  return {
    cancel: () => {
      isCancelled = true;
    },
  };
}

/** The reason why a host must not be dialled, by its name or address; undefined: it may be. */
type RefusalOf = (host: string) => string | undefined;

/** A name with a refused address fails, and none of its addresses is dialled. */
function checking(resolve: Resolve, refusalOf: RefusalOf): Resolve {
  return (name, options, found) => {
    resolve(name, options, (error, addresses) => {
      const refusal = addresses?.map(({ address }) => refusalOf(address)).find((each) => each !== undefined);
      if (error !== null || refusal === undefined) return found(error, addresses);
      found(refused(`${name} resolves to ${refusal}`), []);
    });
  };
}

/** `allow` has addresses and networks that are not refused. */
export function createMetadataTest(allow: readonly string[]): RefusalOf {
  const isAllowed = createNetworkTest(allow.flatMap((text) => parseNetwork(text) ?? []));
  return (host) => {
    if (isIP(host) === 0) return metadataNames.has(host.toLowerCase().replace(/\.$/, '')) ? `${host}, ${refusalText}` : undefined;
    const addresses = [plainAddress(host), embeddedIpv4(host) ?? []].flat();
    return addresses.some((address) => isMetadata(address) && !isAllowed(address)) ? `${host}, ${refusalText}` : undefined;
  };
}

const refusalText = 'a link-local address or a metadata service, which [egress] allow does not list';

export const metadataNames: ReadonlySet<string> = new Set([
  'instance-data',
  'instance-data.ec2.internal',
  'metadata',
  'metadata.azure.internal',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
]);

/** Metadata services and their neighbours (AWS, Azure, Google, Alibaba, Oracle, Scaleway), and link-local addresses. */
const isMetadata = createNetworkTest(
  [
    ...['169.254.0.0/16', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
    ...['fd00:ec2::/32', 'fd20:ce::254', 'fd00:42::42', 'fe80::/10'],
  ].flatMap((text) => parseNetwork(text) ?? []),
);

/** Hosts that are connected to without the proxy. As in NO_PROXY, a name stands for its subdomains too, and `*` for every host. */
function createDirectTest(direct: readonly string[]): (endpoint: Pick<Endpoint, 'host' | 'port'>) => boolean {
  const isEverything = direct.includes('*');
  const rules = direct.flatMap((text) => parseHostRule(text.replace(/^\./, '*.')) ?? []);
  return ({ host, port }) =>
    isEverything || rules.some((rule) => (rule.port === undefined || rule.port === port) && matches(rule, host.toLowerCase()));
}

function matches(rule: HostRule, host: string): boolean {
  switch (rule.kind) {
    case 'host':
      return rule.host === host || host.endsWith(`.${rule.host}`);
    case 'suffix':
      return host.endsWith(rule.suffix);
    case 'network':
      return isIP(host) !== 0 && createNetworkTest([rule.network])(host);
    default:
      return rule satisfies never;
  }
}

interface Route {
  readonly endpoint: Endpoint;
  readonly proxy: URL;
  readonly proxyEndpoint: Endpoint;
}

/** Largest head of a response of a proxy, bytes. */
const maxHeadBytes = 16_384;

/** A connection through a proxy (RFC 9110 §9.3.6): dialled → CONNECT sent → connected. The proxy resolves the name of the endpoint. */
class Tunnel implements Dialling {
  readonly #route: Route;
  readonly #dialling: Dialling;
  #dialled: Dialled;
  #socket: Socket | undefined;

  constructor(route: Route, dialled: Dialled) {
    this.#route = route;
    this.#dialled = dialled;
    this.#dialling = dialTcp(route.proxyEndpoint, (error, socket) => {
      if (error === undefined) this.#open(socket);
      else this.#fail(`cannot connect to the proxy at ${route.proxy.host}: ${error.message}`);
    });
  }

  cancel(): void {
    this.#dialled = () => undefined;
    this.#dialling.cancel();
    this.#socket?.destroy();
  }

  #open(socket: Socket): void {
    const { proxy, endpoint } = this.#route;
    this.#socket = socket;
    const target = `${isIP(endpoint.host) === 6 ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
    const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    const authorization = credentials === ':' ? [] : ['proxy-authorization', `Basic ${Buffer.from(credentials).toString('base64')}`];
    const connecting = request({
      method: 'CONNECT',
      path: target,
      headers: ['host', target, ...authorization],
      maxHeaderSize: maxHeadBytes,
      createConnection: () => socket,
    });
    connecting.on('error', ({ message }) => this.#fail(`the proxy at ${proxy.host} did not answer: ${message}`));
    connecting.once('response', ({ statusCode }) => this.#fail(`the proxy at ${proxy.host} answered ${statusCode} to CONNECT ${target}`));
    connecting.once('connect', ({ statusCode = 0 }, _socket, head) => {
      if (statusCode < 200 || statusCode > 299) return this.#fail(`the proxy at ${proxy.host} answered ${statusCode} to CONNECT ${target}`);
      if (head.length > 0) socket.unshift(head);
      this.#dialled(undefined, socket);
    });
    connecting.end();
  }

  #fail(message: string): void {
    const dialled = this.#dialled;
    this.cancel();
    dialled(Object.assign(new Error(message), { code: PROXY_FAILED }), undefined);
  }
}
