import { type BeforePushSection, beforePushOf, warnOfPlainHttp } from './before-push.ts';
import type { HandlerConfig, PoolConfig } from './config.ts';
import { findModule, searchedPlaces } from './find-module.ts';
import { followUpOf } from './follow-up.ts';
import { limitGlobs } from './glob-limits.ts';
import { type HandlerSection, handlerName, handlerSchema, trimmedPath, type WhenSection } from './handler.ts';
import { lookUp, type Path, showPath, type Table } from './mistakes.ts';
import { type HandlerTable, type HostConfig, handlerTables } from './mongooseim.ts';
import { joinPath } from './pool.ts';
import type { Pools } from './pools.ts';
import { type SectionReader, unknownAmong } from './section-reader.ts';

interface HandlerContext {
  readonly hosts: readonly string[];
  readonly hostConfigs: readonly HostConfig[];
  readonly pools: Pools;
  /** The file before references were replaced: names are derived from it, so that a new secret renames no handler. */
  readonly written: Table;
}

/** The table of a handler with the hosts that it belongs to. */
interface Candidate {
  readonly table: HandlerTable;
  readonly handler: HandlerSection;
  readonly hosts: readonly (string | undefined)[];
  readonly name: string;
}

/**
 * Reads the handlers from `modules` and from `[[host_config]]`, in file order. A handler whose hosts have different pools
 * (for its pushes or its questions) becomes one handler per pool, named `NAME@HOST`.
 */
export async function readHandlers(modules: unknown, context: HandlerContext, reader: SectionReader): Promise<readonly HandlerConfig[]> {
  const replaced = new Set(context.hostConfigs.filter((config) => config.modules !== undefined).map(({ host }) => host));
  const common = context.hosts.filter((host) => !replaced.has(host));
  const scopes = [
    { modules, path: [], hosts: context.hosts.length === 0 ? [undefined] : common, suffix: '' },
    ...context.hostConfigs.map(({ host, path, modules }) => ({ modules, path, hosts: [host], suffix: `@${host}` })),
  ];

  const candidates = scopes.flatMap((scope) => candidatesIn(scope, context.written, reader));
  refuseSameNames(candidates, reader);
  const rules = candidates.map(({ table: { path }, handler: { enabled, when } }) => ({ path, when: enabled ? when : undefined }));
  limitGlobs(rules, reader);

  const handlers: HandlerConfig[] = [];
  for (const candidate of candidates) handlers.push(...(await resolveCandidate(candidate, context, reader)));
  return handlers;
}

/** One `modules` table. `suffix` distinguishes the handlers of one host from the others. */
interface Scope {
  readonly modules: unknown;
  readonly path: Path;
  readonly hosts: readonly (string | undefined)[];
  readonly suffix: string;
}

function candidatesIn({ modules, path, hosts, suffix }: Scope, written: Table, reader: SectionReader): readonly Candidate[] {
  const seen = new Map<string, Path>();
  const candidates: Candidate[] = [];

  for (const table of handlerTables(modules, [...path, 'modules'], reader)) {
    const handler = reader.read(handlerSchema, table.value, table.path);
    if (handler === undefined) continue;

    const identity = JSON.stringify([handler.pool_name, trimmedPath(handler.path), handler.callback_module, handler.name]);
    const before = seen.get(identity);
    if (before !== undefined) {
      const expected = `another pool_name, path, callback_module or name than in ${showPath(before)}`;
      reader.mistake(table.path, { received: 'a handler that is already defined', expected });
      continue;
    }
    seen.set(identity, table.path);

    const writtenPath = lookUp(written, [...table.path, 'path']);
    const name = handlerName(handler, typeof writtenPath === 'string' ? writtenPath : '');
    candidates.push({ table, handler, hosts, name: `${name}${suffix}` });
  }
  return candidates;
}

function refuseSameNames(candidates: readonly Candidate[], reader: SectionReader): void {
  const seen = new Map<string, Path>();
  for (const { name, table } of candidates) {
    const before = seen.get(name);
    if (before !== undefined) reader.mistake([...table.path, 'name'], { expected: `another name than that of ${showPath(before)}` });
    seen.set(name, table.path);
  }
}

async function resolveCandidate(candidate: Candidate, context: HandlerContext, reader: SectionReader): Promise<readonly HandlerConfig[]> {
  const { table, handler, hosts, name } = candidate;
  const question = handler.before_push?.enabled === true ? handler.before_push : undefined;
  checkPool(candidate, { poolName: handler.pool_name, path: [...table.path, 'pool_name'] }, { context, reader });
  checkPath(handler.path, [...table.path, 'path'], reader);
  if (question !== undefined) checkQuestion(candidate, question, { context, reader });
  const module = await readModule(handler.callback_module, [...table.path, 'callback_module'], reader);

  if (module === undefined) return [];
  if (!handler.enabled) {
    reader.notice(table.path, `handler ${name} is not enabled and evaluates no packet`);
    return [];
  }
  const poolNames = { own: handler.pool_name, asked: question && (question.pool_name ?? handler.pool_name) };
  const bindings = bindingsOf(hosts, poolNames, context.pools);
  noticeUselessTtl(candidate, [...new Set(bindings.map(({ own }) => own))], reader);
  for (const pool of new Set(bindings.flatMap(({ asked }) => asked ?? []))) warnOfPlainHttp(pool, table.path, reader);
  return bindings.map((binding) => handlerOf(candidate, { ...binding, module, question }));
}

interface ResolvedHandler extends Binding {
  readonly module: HandlerConfig['module'];
  /** Undefined: no question before a push. */
  readonly question: BeforePushSection | undefined;
}

function handlerOf({ handler, name }: Candidate, { own, asked, hosts, module, question }: ResolvedHandler): HandlerConfig {
  const isPerHost = own.id.includes('@') || asked?.id.includes('@') === true;
  const ownName = isPerHost && !name.includes('@') ? `${name}@${hosts.join()}` : name;
  return {
    name: ownName,
    hosts,
    pool: own.id,
    path: handler.path,
    requestPath: joinPath(own.pathPrefix, handler.path),
    callbackModule: handler.callback_module,
    module,
    when: handler.when === undefined ? undefined : withoutAbsent(handler.when),
    respectHints: handler.respect_hints,
    ordering: handler.ordering,
    holdMs: handler.hold,
    beforePush: question && asked && beforePushOf(ownName, question, asked),
    followUp: followUpOf(handler.follow_up, own),
    ttlMs: handler.ttl,
    sign: handler.sign?.keys,
    options: handler.options,
  };
}

interface CheckContext {
  readonly context: HandlerContext;
  readonly reader: SectionReader;
}

function checkQuestion(candidate: Candidate, question: BeforePushSection, context: CheckContext): void {
  const path = [...candidate.table.path, 'before_push'];
  if (question.pool_name !== undefined) checkPool(candidate, { poolName: question.pool_name, path: [...path, 'pool_name'] }, context);
  checkPath(question.path, [...path, 'path'], context.reader);
}

interface PoolReference {
  readonly poolName: string;
  /** The position of the name in the file. */
  readonly path: Path;
}

function checkPool({ hosts }: Candidate, { poolName, path }: PoolReference, { context, reader }: CheckContext): void {
  const { pools, written } = context;
  const missing = hosts.filter((host) => !pools.defines(host, poolName));
  if (missing.length === 0 || (hosts[0] === undefined && pools.names.includes(poolName))) return;

  const known = pools.names.filter((other) => missing.every((host) => pools.defines(host, other)));
  const { expected, hint } = unknownAmong(poolName, known);
  const defined =
    known.length === 0 ? 'a pool under outgoing_pools.http, which defines none' : `${expected} (the pools in outgoing_pools.http)`;
  const forHosts = missing.length === hosts.length ? '' : ` for ${missing.join(', ')}`;
  const name = lookUp(written, path) ?? poolName;
  reader.mistake(path, { received: `${JSON.stringify(name)}${forHosts}`, expected: defined, hint });
}

function checkPath(path: string, where: Path, reader: SectionReader): void {
  if (/^[\x21-\x7e]*$/.test(path) && !path.includes('#')) return;
  reader.mistake(where, { expected: 'a URL path; characters outside ASCII must be percent-encoded' });
}

async function readModule(name: string, path: Path, reader: SectionReader): Promise<HandlerConfig['module'] | undefined> {
  const result = await findModule(name, reader.folder);
  if (result.kind === 'found') return result.module;
  reader.mistake(path, { expected: `a callback module. ${searchedPlaces(result)}` });
  return undefined;
}

/** Hosts with the same pools: one for pushes, and one for questions. */
interface Binding {
  readonly own: PoolConfig;
  readonly asked: PoolConfig | undefined;
  readonly hosts: string[];
}

interface PoolNames {
  readonly own: string;
  /** Undefined: no question before a push. */
  readonly asked: string | undefined;
}

function bindingsOf(hosts: readonly (string | undefined)[], names: PoolNames, pools: Pools): readonly Binding[] {
  const bindings: Binding[] = [];
  for (const host of hosts) {
    const own = pools.find(host, names.own);
    const asked = names.asked === undefined ? undefined : pools.find(host, names.asked);
    if (own === undefined) continue;
    const known = bindings.find((binding) => binding.own === own && binding.asked === asked);
    const binding = known ?? { own, asked, hosts: [] };
    if (known === undefined) bindings.push(binding);
    if (host !== undefined) binding.hosts.push(host);
  }
  return bindings;
}

function noticeUselessTtl({ handler: { ttl = 0 }, table }: Candidate, pools: readonly PoolConfig[], reader: SectionReader): void {
  for (const { id } of pools.filter(({ retry }) => ttl > retry.maxAgeMs)) {
    reader.notice([...table.path, 'ttl'], `has no effect: retry.max_age of pool ${id} is shorter`);
  }
}

function withoutAbsent(when: WhenSection): NonNullable<HandlerConfig['when']> {
  return Object.fromEntries(Object.entries(when).filter(([, value]) => value !== undefined));
}
