import type { PoolConfig } from './config.ts';
import { type EgressConfig, egressOf } from './egress.ts';
import { builtInPools, isBuiltIn } from './follow-up.ts';
import { isTable, type Path, type Table } from './mistakes.ts';
import type { HostConfig } from './mongooseim.ts';
import { readPool } from './pool.ts';
import { type SectionReader, unknownAmong } from './section-reader.ts';

/** The pools of a file, found by name and host. */
export class Pools {
  readonly #byId = new Map<string, PoolConfig>();
  /** Ids of all definitions, including those with mistakes. */
  readonly #defined = new Set<string>();
  readonly #names = new Set<string>();

  /** Adds a definition; `pool` is undefined if it has mistakes. */
  add({ name, host }: { readonly name: string; readonly host: string | undefined }, pool: Omit<PoolConfig, 'id'> | undefined): void {
    const id = idOf(name, host);
    this.#defined.add(id);
    if (pool !== undefined) this.#byId.set(id, { id, ...pool });
  }

  addName(name: string): void {
    this.#names.add(name);
  }

  get all(): readonly PoolConfig[] {
    return [...this.#byId.values()];
  }

  /** Every defined name, for hints. */
  get names(): readonly string[] {
    return [...this.#names];
  }

  /** The pool of this name for a host: the host's own, else the global one (MongooseIM's rule). */
  find(host: string | undefined, name: string): PoolConfig | undefined {
    return this.#byId.get(idOf(name, host)) ?? this.#byId.get(name);
  }

  /** Whether this name is defined for the host, with or without mistakes. */
  defines(host: string | undefined, name: string): boolean {
    return this.#defined.has(idOf(name, host)) || this.#defined.has(name);
  }
}

function idOf(name: string, host: string | undefined): string {
  return host === undefined ? name : `${name}@${host}`;
}

interface PoolContext {
  readonly hosts: readonly string[];
  readonly hostConfigs: readonly HostConfig[];
  readonly egress: EgressConfig;
}

/** Reads `[outgoing_pools.http.*]` and its overrides in `[[host_config]]`. */
export async function readPools(section: unknown, { hosts, hostConfigs, egress }: PoolContext, reader: SectionReader): Promise<Pools> {
  const pools = new Pools();
  const read = async (value: unknown, path: Path): Promise<Omit<PoolConfig, 'id'> | undefined> => {
    const found = await readPool(value, path, reader);
    if (found === undefined) return undefined;
    const { proxy, ...pool } = found;
    return { ...pool, egress: egressOf(proxy, egress) };
  };
  for (const { name, value, path } of definitionsIn(section, ['outgoing_pools'], reader)) {
    const pool = await read(value, path);
    pools.addName(name);
    for (const host of isPerHost(value) ? hosts : [undefined]) pools.add({ name, host }, pool);
  }

  for (const { host, path: base, pools: overrides } of hostConfigs) {
    for (const { name, value, path } of definitionsIn(overrides, [...base, 'outgoing_pools'], reader)) {
      if (isTable(value) && 'scope' in value) reader.mistake([...path, 'scope'], { expected: 'no scope: [[host_config]] sets the host' });
      pools.addName(name);
      pools.add({ name, host }, await read(value, path));
    }
  }
  return pools;
}

interface Definition {
  readonly name: string;
  readonly value: unknown;
  readonly path: Path;
}

function definitionsIn(section: unknown, path: Path, reader: SectionReader): readonly Definition[] {
  if (section === undefined) return [];
  if (!isTable(section)) {
    reader.mistake(path, { expected: 'a table' });
    return [];
  }
  for (const type of Object.keys(section).filter((key) => key !== 'http')) {
    reader.mistake([...path, type], { received: 'an unknown type of pool', ...unknownAmong(type, ['http']) });
  }
  const httpPath = [...path, 'http'];
  const pools = section['http'] ?? {};
  if (isTable(pools)) return definitionsOf(pools, httpPath, reader);
  reader.mistake(httpPath, { expected: 'a table of pools' });
  return [];
}

function definitionsOf(pools: Table, path: Path, reader: SectionReader): readonly Definition[] {
  return Object.entries(pools).map(([name, value]) => {
    const poolPath = [...path, name];
    if (!/^[\w.-]+$/.test(name)) {
      reader.mistake(poolPath, { received: 'this name', expected: 'a name of letters, digits, ".", "_" and "-"' });
    }
    if (isBuiltIn(name))
      reader.mistake(poolPath, { received: 'this name', expected: `another name: ${builtInPools.join(' and ')} are built in` });
    return { name, value, path: poolPath };
  });
}

function isPerHost(pool: unknown): boolean {
  return isTable(pool) && (pool['scope'] === 'host' || pool['scope'] === 'host_type');
}
