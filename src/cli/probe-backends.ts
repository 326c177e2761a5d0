/** Connects to everything that the service sends requests to: the backends of pools, their token endpoints, and the hosts of `follow_up.allow`. */
import { lookup } from 'node:dns';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import { createDial } from '../../pools/connection.ts';
import { guardDestination, guarded } from '../../pools/destination-guard.ts';
import { connectThrough } from '../../pools/egress.ts';
import { tokenTls } from '../../pools/token-tls.ts';
import type { FollowUpConfig, PoolConfig } from '../config/config.ts';
import type { Config } from '../config/service-config.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { parseHostRule } from '../kit/network.ts';
import { adviceAbout, type Destination, type Finding, type Probe, probe } from './probe.ts';

/** At most this many hosts of `follow_up.allow` are tried. */
const maxHosts = 100;

export function probeBackends({ pools, handlers }: Config): readonly Promise<Probe>[] {
  const backends = pools.filter(({ origin }) => origin !== '').map(probeBackend);
  const endpoints = pools.flatMap((pool) => (pool.oauth === undefined ? [] : [probeTokenEndpoint(pool, pool.oauth.tokenUrl)]));
  const orders = pools.find(({ id }) => id === 'follow_up');
  const allowed = new Map(handlers.flatMap(({ followUp }) => followUp?.allow.map((rule) => [rule, followUp] as const) ?? []));
  const hosts = [...allowed]
    .slice(0, maxHosts)
    .flatMap(([rule, followUp]) => (orders === undefined ? [] : probeAllowed(rule, { followUp, orders })));
  const left = allowed.size - maxHosts;
  const skipped = { name: 'other hosts of follow_up.allow', ok: true, detail: `${left} are not tried` };
  return [...backends, ...endpoints, ...hosts, ...(left > 0 ? [Promise.resolve(skipped)] : [])];
}

function probeBackend(pool: PoolConfig): Promise<Probe> {
  const advice = { setting: 'connection.host', trust: 'name the authority that signed it in connection.tls.cacertfile' };
  return probeDial(`pool ${pool.id} at ${pool.origin}`, dialOf(pool), advice);
}

/** No token is requested: that would be noticed, and `send-test` does it. */
function probeTokenEndpoint({ id, egress, tls }: PoolConfig, tokenUrl: string): Promise<Probe> {
  const { origin } = new URL(tokenUrl);
  const advice = { setting: 'auth.oauth2.token_url', trust: 'name the authority that signed it in connection.tls.cacertfile' };
  const dial = dialOf({ egress, origin, tls: tokenTls(tls) });
  return probeDial(`token endpoint of pool ${id} at ${origin}`, dial, advice, '; no token is requested');
}

interface Allowed {
  readonly followUp: FollowUpConfig;
  readonly orders: PoolConfig;
}

/** None for the origin of the handler's pool, which is tried as a backend. Patterns name no host. */
function probeAllowed(rule: string, { followUp, orders }: Allowed): readonly Promise<Probe>[] {
  const name = `follow_up.allow ${rule}`;
  const place = placeOf(rule);
  if (place === undefined) return [Promise.resolve({ name, ok: true, detail: 'a pattern: not tried' })];
  const advice = { setting: 'follow_up.allow', trust: 'add the authority that signed it with NODE_EXTRA_CA_CERTS' };
  const { host, port } = place;
  const origin = `${port === 443 ? 'https' : 'http'}://${host}:${port ?? 443}`;
  if (port !== undefined && isSamePlace(origin, followUp.ownOrigin)) return [];
  const guard = guardDestination({ origin, allow: followUp.allow, ownOrigin: followUp.ownOrigin }, orders.egress.allow);
  const resolve = guarded(lookup, guard);
  if (port === undefined) return [probe(name, resolved(host, resolve), adviceAbout(advice))];
  return [probeDial(name, dialOf({ ...orders, origin }, resolve), advice, port === 443 ? '' : '; TLS is not tried')];
}

/** Undefined for a pattern. */
function placeOf(text: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const rule = parseHostRule(text);
  if (rule?.kind === 'host') return { host: rule.host, port: rule.port };
  const host = text.replace(/^\[([^\]]+)\](:\d+)?$/, '$1').replace(/^([^:]+):\d+$/, '$1');
  if (rule === undefined || isIP(host) === 0) return undefined;
  return { host: isIP(host) === 6 ? `[${host}]` : host, port: rule.port };
}

function isSamePlace(one: string, other: string): boolean {
  const portOf = ({ port, protocol }: URL) => port || (protocol === 'https:' ? '443' : '80');
  const [first, second] = [new URL(one), new URL(other)];
  return first.hostname === second.hostname && portOf(first) === portOf(second);
}

type Resolve = ReturnType<typeof guarded>;

/** Without a port nothing is connected. */
function resolved(host: string, resolve: Resolve): Finding {
  const found = createDeferred<string>();
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) found.resolve('an address without a port: not tried');
  else
    resolve(host, { all: true }, (error) =>
      error === null ? found.resolve('the name resolves; no port to connect to') : found.reject(error),
    );
  return found.promise;
}

type Dial = ReturnType<typeof createDial>;

function dialOf({ egress, origin, tls }: Pick<PoolConfig, 'egress' | 'origin' | 'tls'>, resolve?: Resolve): Dial {
  return createDial({ origin, tls }, resolve, connectThrough({ ...egress, proxy: egress.proxy?.reveal() }));
}

function probeDial(name: string, dial: Dial, destination: Destination, note = ''): Promise<Probe> {
  const found = createDeferred<string>();
  const handle = dial((error, socket) => {
    if (error !== undefined) return found.reject(error);
    socket.on('error', () => undefined); // the connection has served its purpose
    found.resolve(`${socket instanceof TLSSocket ? `connected with ${socket.getProtocol()}` : 'connected'}${note}`);
  });
  return probe(name, found.promise, adviceAbout(destination)).finally(() => handle.destroy());
}
