import type { CircuitBreakerConfig, PoolConfig } from './config.ts';
import { builtInPools, isBuiltIn } from './follow-up.ts';
import type { HostConfig } from './host-config.ts';
import { noticeDifferences } from './pool-notices.ts';
import { type Reading, unknownAmong } from './reading.ts';
import { type PoolSection, poolSchema } from './schema/pool.ts';
import { rateLimitOf } from './schema/rate-limit.ts';
import { asTable, isTable, type Path, type Table } from './table.ts';
import { readTls } from './tls.ts';

const fiveMinutesMs = 300_000;

/** The pools of a file, and which of them a handler means. */
export interface Pools {
  readonly all: readonly PoolConfig[];
  /** Every name that is defined somewhere, for people. */
  readonly tags: readonly string[];
  /** The pool behind a name as seen from a host: the host's own, else the global one (MongooseIM's rule). */
  find(host: string | undefined, tag: string): PoolConfig | undefined;
  /** Whether this name is defined, rightly or wrongly, for the host. */
  defines(host: string | undefined, tag: string): boolean;
}

/** Reads `[outgoing_pools.http.*]` and its overrides in `[[host_config]]`. */
export async function readPools(section: unknown, around: PoolSurroundings, reading: Reading): Promise<Pools> {
  const byId = new Map<string, PoolConfig>();
  const defined = new Set<string>();
  const tags = new Set<string>();

  const global = definitionsIn(section, ['outgoing_pools'], reading);
  for (const { tag, value, path } of global) {
    const pool = await readPool(value, path, reading);
    const hosts = perHost(value) ? around.hosts : [undefined];
    tags.add(tag);
    for (const host of hosts) {
      defined.add(idOf(tag, host));
      if (pool !== undefined) byId.set(idOf(tag, host), { id: idOf(tag, host), ...pool });
    }
  }

  for (const { host, path: base, pools } of around.hostConfigs) {
    for (const { tag, value, path } of definitionsIn(pools, [...base, 'outgoing_pools'], reading)) {
      if (isTable(value) && 'scope' in value) reading.mistake([...path, 'scope'], { expected: 'no scope: the host is given above' });
      const pool = await readPool(value, path, reading);
      tags.add(tag);
      defined.add(idOf(tag, host));
      if (pool !== undefined) byId.set(idOf(tag, host), { id: idOf(tag, host), ...pool });
    }
  }

  return {
    all: [...byId.values()],
    tags: [...tags],
    find: (host, tag) => byId.get(idOf(tag, host)) ?? byId.get(tag),
    defines: (host, tag) => defined.has(idOf(tag, host)) || defined.has(tag),
  };
}

interface PoolSurroundings {
  readonly hosts: readonly string[];
  readonly hostConfigs: readonly HostConfig[];
}

interface Definition {
  readonly tag: string;
  readonly value: unknown;
  readonly path: Path;
}

function definitionsIn(section: unknown, path: Path, reading: Reading): readonly Definition[] {
  if (section === undefined) return [];
  if (!isTable(section)) {
    reading.mistake(path, { expected: 'a table' });
    return [];
  }
  for (const type of Object.keys(section).filter((key) => key !== 'http')) {
    reading.mistake([...path, type], { received: 'an unknown type of pool', ...unknownAmong(type, ['http']) });
  }
  const httpPath = [...path, 'http'];
  const pools = section['http'] ?? {};
  if (isTable(pools)) return definitionsOf(pools, httpPath, reading);
  reading.mistake(httpPath, { expected: 'a table of pools' });
  return [];
}

function definitionsOf(pools: Table, path: Path, reading: Reading): readonly Definition[] {
  return Object.entries(pools).map(([tag, value]) => {
    const poolPath = [...path, tag];
    if (!/^[\w.-]+$/.test(tag)) {
      reading.mistake(poolPath, { received: 'this name', expected: 'a name of letters, digits, ".", "_" and "-"' });
    }
    if (isBuiltIn(tag))
      reading.mistake(poolPath, { received: 'this name', expected: `another: ${builtInPools.join(' and ')} are built in` });
    return { tag, value, path: poolPath };
  });
}

function perHost(pool: unknown): boolean {
  return isTable(pool) && (pool['scope'] === 'host' || pool['scope'] === 'host_type');
}

function idOf(tag: string, host: string | undefined): string {
  return host === undefined ? tag : `${tag}@${host}`;
}

async function readPool(value: unknown, path: Path, reading: Reading): Promise<Omit<PoolConfig, 'id'> | undefined> {
  const pool = reading.read(poolSchema, value, path);
  if (pool !== undefined) {
    noticeDifferences({ pool, written: asTable(value), path }, reading);
    return normalize(pool, path, reading);
  }

  // A mistake elsewhere in the pool must not hide one in its URL until the next try.
  const { host, path_prefix: prefix } = asTable(asTable(value)['connection']);
  if (typeof host === 'string') readOrigin(host, [...path, 'connection', 'host'], reading);
  if (typeof prefix === 'string') checkPrefix(prefix, [...path, 'connection', 'path_prefix'], reading);
  return undefined;
}

async function normalize(pool: PoolSection, path: Path, reading: Reading): Promise<Omit<PoolConfig, 'id'>> {
  const { connection, retry } = pool;
  const connectionPath = [...path, 'connection'];
  const origin = readOrigin(connection.host, [...connectionPath, 'host'], reading);
  checkPrefix(connection.path_prefix, [...connectionPath, 'path_prefix'], reading);
  checkLimits(pool, path, reading);
  checkStatusCodes(retry, [...path, 'retry'], reading);

  return {
    client: pool.client,
    origin,
    pathPrefix: `/${connection.path_prefix.replace(/^\/+/, '')}`,
    workers: pool.workers,
    threads: pool.threads,
    requestTimeoutMs: connection.request_timeout,
    callTimeoutMs: pool.call_timeout,
    maxConnectionAgeMs: pool.max_connection_age,
    maxResponseBytes: pool.max_response_size,
    retry: {
      scheduleMs: retry.schedule,
      jitter: retry.jitter,
      maxAgeMs: retry.max_age,
      accept: retry.accept,
      defer: retry.defer,
      refuse: retry.refuse,
    },
    firstAttemptShare: retry.first_attempt_share,
    pauseOnGone: retry.pause_on_gone,
    rateLimit: pool.rate_limit && rateLimitOf(pool.rate_limit),
    circuitBreaker: pool.circuit_breaker.enabled ? circuitBreakerOf(pool.circuit_breaker, path, reading) : undefined,
    maxBacklog: pool.max_backlog,
    overflow: pool.overflow,
    tls: await readTls(connection.tls, [...connectionPath, 'tls'], reading),
  };
}

function circuitBreakerOf(section: PoolSection['circuit_breaker'], path: Path, reading: Reading): CircuitBreakerConfig {
  const { open, max_open: maxOpen = Math.max(open, fiveMinutesMs) } = section;
  if (maxOpen < open) reading.mistake([...path, 'circuit_breaker', 'max_open'], { expected: `at least circuit_breaker.open (${open} ms)` });
  return {
    failureRatio: section.failure_ratio,
    minAttempts: section.min_attempts,
    windowMs: section.window,
    openMs: open,
    maxOpenMs: maxOpen,
  };
}

/** Scheme, host and port of `connection.host`; empty when there is a mistake in it. */
function readOrigin(host: string, path: Path, reading: Reading): string {
  const expected = 'http://host[:port] or https://host[:port]';
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || !/^https?:\/\//i.test(host)) {
    const withScheme = /^[\w.-]+(:\d+)?$/.test(host) ? `did you mean "http://${host}"?` : undefined;
    reading.mistake(path, { expected, hint: withScheme });
    return '';
  }
  if (url.username !== '' || url.password !== '') {
    reading.mistake(path, { received: 'a URL with credentials', expected: `${expected}, without credentials` });
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    reading.mistake(path, { expected, hint: 'a path belongs in path_prefix' });
  }
  return url.origin;
}

function checkPrefix(prefix: string, path: Path, reading: Reading): void {
  if (!/^[\x21-\x7e]*$/.test(prefix) || /[?#]/.test(prefix)) {
    reading.mistake(path, { expected: 'a URL path without a query, everything outside ASCII percent-encoded' });
  }
}

function checkLimits(pool: PoolSection, path: Path, reading: Reading): void {
  if (pool.threads > pool.workers) {
    reading.mistake([...path, 'threads'], { expected: `at most as many threads as workers (${pool.workers})` });
  }
}

function checkStatusCodes(retry: PoolSection['retry'], path: Path, reading: Reading): void {
  const seen = new Map<number, string>();
  for (const key of ['accept', 'defer', 'refuse'] as const) {
    for (const [index, status] of retry[key].entries()) {
      const before = seen.get(status);
      if (before !== undefined)
        reading.mistake([...path, key, index], { expected: `each status code once; ${status} is in ${before} too` });
      seen.set(status, key);
    }
  }
}
