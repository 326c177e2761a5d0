import { beforePushOf, warnOfPlainHttp } from './before-push.ts';
import type { HandlerConfig, PoolConfig } from './config.ts';
import { findModule, placesLookedAt } from './find-module.ts';
import { followUpOf } from './follow-up.ts';
import { handlerName, trimmedPath } from './handler-name.ts';
import { type HandlerTable, handlerTables } from './handler-tables.ts';
import type { HostConfig } from './host-config.ts';
import type { Pools } from './pools.ts';
import { type Reading, unknownAmong } from './reading.ts';
import type { BeforePushSection } from './schema/before-push.ts';
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
 * different pools, its own or those that it asks over, becomes one for each, named `NAME@HOST`.
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
  const asking = handler.before_push?.enabled === true ? handler.before_push : undefined;
  checkPool(candidate, { tag: handler.pool_name, path: [...table.path, 'pool_name'] }, { around, reading });
  checkPath(handler.path, [...table.path, 'path'], reading);
  if (asking !== undefined) checkAsked(candidate, asking, { around, reading });
  const module = await readModule(handler.callback_module, [...table.path, 'callback_module'], reading);

  if (module === undefined) return [];
  if (!handler.enabled) {
    reading.notice(`${showPath(table.path)} is not enabled: handler ${name} meets no packet`);
    return [];
  }
  const bindings = bindingsOf(hosts, { own: handler.pool_name, asked: asking && (asking.pool_name ?? handler.pool_name) }, around.pools);
  noticeIdleTtl(candidate, [...new Set(bindings.map(({ own }) => own))], reading);
  if (asking !== undefined)
    for (const pool of new Set(bindings.flatMap(({ asked }) => asked ?? []))) warnOfPlainHttp(pool, table.path, reading);
  return bindings.map(({ own, asked, hosts: itsHosts }) => {
    const perHost = own.id.includes('@') || asked?.id.includes('@') === true;
    const itsName = perHost && !name.includes('@') ? `${name}@${itsHosts.join()}` : name;
    return {
      name: itsName,
      hosts: itsHosts,
      pool: own.id,
      path: handler.path,
      requestPath: joinPath(own.pathPrefix, handler.path),
      callbackModule: handler.callback_module,
      module,
      when: handler.when === undefined ? undefined : withoutAbsent(handler.when),
      respectHints: handler.respect_hints,
      ordering: handler.ordering,
      holdMs: handler.hold,
      beforePush: asking && asked && beforePushOf(itsName, asking, asked),
      followUp: followUpOf(handler.follow_up, own),
      ttlMs: handler.ttl,
      options: handler.options,
    };
  });
}

interface Around {
  readonly around: HandlerSurroundings;
  readonly reading: Reading;
}

function checkAsked(candidate: Candidate, asking: BeforePushSection, context: Around): void {
  const path = [...candidate.table.path, 'before_push'];
  if (asking.pool_name !== undefined) checkPool(candidate, { tag: asking.pool_name, path: [...path, 'pool_name'] }, context);
  checkPath(asking.path, [...path, 'path'], context.reading);
}

/** `path` is where the pool is named. */
function checkPool({ hosts }: Candidate, { tag, path }: { readonly tag: string; readonly path: Path }, { around, reading }: Around): void {
  const { pools, written } = around;
  const missing = hosts.filter((host) => !pools.defines(host, tag));
  if (missing.length === 0 || (hosts[0] === undefined && pools.tags.includes(tag))) return;

  const known = pools.tags.filter((other) => missing.every((host) => pools.defines(host, other)));
  const { expected, hint } = unknownAmong(tag, known);
  const defined =
    known.length === 0 ? 'a pool under outgoing_pools.http, which defines none' : `${expected} (the pools in outgoing_pools.http)`;
  const forHosts = missing.length === hosts.length ? '' : ` for ${missing.join(', ')}`;
  const name = lookUp(written, path) ?? tag;
  reading.mistake(path, { received: `${JSON.stringify(name)}${forHosts}`, expected: defined, hint });
}

function checkPath(path: string, where: Path, reading: Reading): void {
  if (/^[\x21-\x7e]*$/.test(path) && !path.includes('#')) return;
  reading.mistake(where, { expected: 'a URL path, everything outside ASCII percent-encoded' });
}

async function readModule(name: string, path: Path, reading: Reading): Promise<HandlerConfig['module'] | undefined> {
  const result = await findModule(name, reading.folder);
  if (result.kind === 'found') return result.module;
  reading.mistake(path, { expected: `a callback module. ${placesLookedAt(result)}` });
  return undefined;
}

/** Hosts that share a handler's pools: its own, and the one that it asks over. */
interface Binding {
  readonly own: PoolConfig;
  readonly asked: PoolConfig | undefined;
  readonly hosts: string[];
}

interface Tags {
  readonly own: string;
  /** Undefined: nobody is asked. */
  readonly asked: string | undefined;
}

function bindingsOf(hosts: readonly (string | undefined)[], tags: Tags, pools: Pools): readonly Binding[] {
  const bindings: Binding[] = [];
  for (const host of hosts) {
    const own = pools.find(host, tags.own);
    const asked = tags.asked === undefined ? undefined : pools.find(host, tags.asked);
    if (own === undefined) continue;
    const known = bindings.find((binding) => binding.own === own && binding.asked === asked);
    const binding = known ?? { own, asked, hosts: [] };
    if (known === undefined) bindings.push(binding);
    if (host !== undefined) binding.hosts.push(host);
  }
  return bindings;
}

function noticeIdleTtl({ handler: { ttl = 0 }, table }: Candidate, pools: readonly PoolConfig[], reading: Reading): void {
  for (const { id } of pools.filter(({ retry }) => ttl > retry.maxAgeMs)) {
    reading.notice(`${showPath([...table.path, 'ttl'])}: has no effect, retry.max_age of pool ${id} is shorter`);
  }
}

function withoutAbsent(when: WhenSection): NonNullable<HandlerConfig['when']> {
  return Object.fromEntries(Object.entries(when).filter(([, value]) => value !== undefined));
}
