import type { HandlerConfig, PoolConfig } from './config.ts';
import { findModule } from './find-module.ts';
import { followUpOf } from './follow-up.ts';
import { handlerName, trimmedPath } from './handler-name.ts';
import { type HandlerTable, handlerTables } from './handler-tables.ts';
import type { HostConfig } from './host-config.ts';
import type { Pools } from './pools.ts';
import { type Reading, unknownAmong } from './reading.ts';
import { type HandlerSection, handlerSchema, type WhenSection } from './schema/handler.ts';
import { lookUp, type Path, showPath, type Table } from './table.ts';
import { joinPath } from './url.ts';

interface HandlerSurroundings {
  readonly hosts: readonly string[];
  readonly hostConfigs: readonly HostConfig[];
  readonly pools: Pools;
  /** The file before references were replaced: names come from what is written, so that a new secret renames nothing. */
  readonly written: Table;
}

/** A handler's table with the hosts it is for; `suffix` keeps the names of one host's handlers apart from the others'. */
interface Candidate {
  readonly table: HandlerTable;
  readonly handler: HandlerSection;
  readonly hosts: readonly (string | undefined)[];
  readonly name: string;
}

/**
 * Reads the handlers from `modules` and from `[[host_config]]`, in the order of the file. A handler whose hosts have
 * different pools becomes one per pool, named `NAME@HOST`.
 */
export async function readHandlers(modules: unknown, around: HandlerSurroundings, reading: Reading): Promise<readonly HandlerConfig[]> {
  const replaced = new Set(around.hostConfigs.filter((config) => config.modules !== undefined).map(({ host }) => host));
  const common = around.hosts.filter((host) => !replaced.has(host));
  const scopes = [
    { modules, path: [], hosts: around.hosts.length === 0 ? [undefined] : common, suffix: '' },
    ...around.hostConfigs.map(({ host, path, modules }) => ({ modules, path, hosts: [host], suffix: `@${host}` })),
  ];

  const candidates = scopes.flatMap((scope) => candidatesIn(scope, around.written, reading));
  refuseSameNames(candidates, reading);

  const handlers: HandlerConfig[] = [];
  for (const candidate of candidates) handlers.push(...(await resolveCandidate(candidate, around, reading)));
  return handlers;
}

interface Scope {
  readonly modules: unknown;
  readonly path: Path;
  readonly hosts: readonly (string | undefined)[];
  readonly suffix: string;
}

function candidatesIn({ modules, path, hosts, suffix }: Scope, written: Table, reading: Reading): readonly Candidate[] {
  const seen = new Map<string, Path>();
  const candidates: Candidate[] = [];

  for (const table of handlerTables(modules, [...path, 'modules'], reading)) {
    const handler = reading.read(handlerSchema, table.value, table.path);
    if (handler === undefined) continue;

    const identity = JSON.stringify([handler.pool_name, trimmedPath(handler.path), handler.callback_module, handler.name]);
    const before = seen.get(identity);
    if (before !== undefined) {
      const expected = `another pool_name, path, callback_module or name than in ${showPath(before)}`;
      reading.mistake(table.path, { received: 'a handler that is there already', expected });
      continue;
    }
    seen.set(identity, table.path);

    const writtenPath = lookUp(written, [...table.path, 'path']);
    const name = handlerName(handler, typeof writtenPath === 'string' ? writtenPath : '');
    candidates.push({ table, handler, hosts, name: `${name}${suffix}` });
  }
  return candidates;
}

function refuseSameNames(candidates: readonly Candidate[], reading: Reading): void {
  const seen = new Map<string, Path>();
  for (const { name, table } of candidates) {
    const before = seen.get(name);
    if (before !== undefined) reading.mistake([...table.path, 'name'], { expected: `another name than that of ${showPath(before)}` });
    seen.set(name, table.path);
  }
}

async function resolveCandidate(candidate: Candidate, around: HandlerSurroundings, reading: Reading): Promise<readonly HandlerConfig[]> {
  const { table, handler, hosts, name } = candidate;
  checkPool(candidate, around, reading);
  checkPath(handler.path, [...table.path, 'path'], reading);
  const module = await readModule(handler.callback_module, [...table.path, 'callback_module'], reading);

  if (module === undefined) return [];
  if (!handler.enabled) {
    reading.notice(`${showPath(table.path)} is not enabled: handler ${name} meets no packet`);
    return [];
  }
  const perPool = hostsPerPool(hosts, handler.pool_name, around.pools);
  noticeIdleTtl(candidate, [...perPool.keys()], reading);
  return [...perPool].map(([pool, itsHosts]) => ({
    name: pool.id.includes('@') && !name.includes('@') ? `${name}@${itsHosts.join()}` : name,
    hosts: itsHosts,
    pool: pool.id,
    path: handler.path,
    requestPath: joinPath(pool.pathPrefix, handler.path),
    callbackModule: handler.callback_module,
    module,
    when: handler.when === undefined ? undefined : withoutAbsent(handler.when),
    respectHints: handler.respect_hints,
    ordering: handler.ordering,
    holdMs: handler.hold,
    beforePush: undefined,
    followUp: followUpOf(handler.follow_up, pool),
    ttlMs: handler.ttl,
    options: handler.options,
  }));
}

function checkPool({ table, handler, hosts }: Candidate, { pools, written }: HandlerSurroundings, reading: Reading): void {
  const missing = hosts.filter((host) => !pools.defines(host, handler.pool_name));
  if (missing.length === 0 || (hosts[0] === undefined && pools.tags.includes(handler.pool_name))) return;

  const known = pools.tags.filter((tag) => missing.every((host) => pools.defines(host, tag)));
  const { expected, hint } = unknownAmong(handler.pool_name, known);
  const defined =
    known.length === 0 ? 'a pool under outgoing_pools.http, which defines none' : `${expected} (the pools in outgoing_pools.http)`;
  const forHosts = missing.length === hosts.length ? '' : ` for ${missing.join(', ')}`;
  const path = [...table.path, 'pool_name'];
  const name = lookUp(written, path) ?? handler.pool_name;
  reading.mistake(path, { received: `${JSON.stringify(name)}${forHosts}`, expected: defined, hint });
}

function checkPath(path: string, where: Path, reading: Reading): void {
  if (/^[\x21-\x7e]*$/.test(path) && !path.includes('#')) return;
  reading.mistake(where, { expected: 'a URL path, everything outside ASCII percent-encoded' });
}

async function readModule(name: string, path: Path, reading: Reading): Promise<HandlerConfig['module'] | undefined> {
  const result = await findModule(name, reading.folder);
  if (result.kind === 'found') return result.module;
  reading.mistake(path, { expected: `a callback module. Looked at: ${result.lookedAt.join(', ')}` });
  return undefined;
}

function hostsPerPool(hosts: readonly (string | undefined)[], tag: string, pools: Pools): ReadonlyMap<PoolConfig, string[]> {
  const perPool = new Map<PoolConfig, string[]>();
  for (const host of hosts) {
    const pool = pools.find(host, tag);
    if (pool === undefined) continue;
    const itsHosts = perPool.get(pool) ?? [];
    perPool.set(pool, itsHosts);
    if (host !== undefined) itsHosts.push(host);
  }
  return perPool;
}

function noticeIdleTtl({ handler: { ttl = 0 }, table }: Candidate, pools: readonly PoolConfig[], reading: Reading): void {
  for (const { id } of pools.filter(({ retry }) => ttl > retry.maxAgeMs)) {
    reading.notice(`${showPath([...table.path, 'ttl'])}: has no effect, retry.max_age of pool ${id} is shorter`);
  }
}

function withoutAbsent(when: WhenSection): NonNullable<HandlerConfig['when']> {
  return Object.fromEntries(Object.entries(when).filter(([, value]) => value !== undefined));
}
