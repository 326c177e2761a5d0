import { nearest } from '../kit/nearest.ts';
import type { Reading } from './reading.ts';
import { anything, domain, section } from './schema/values.ts';
import { isTable, type Path, showPath } from './table.ts';

/** One `[[host_config]]`: what is different for one host. */
export interface HostConfig {
  readonly host: string;
  readonly path: Path;
  /** Its `outgoing_pools`, if any: overrides by tag. */
  readonly pools: unknown;
  /** Its `modules`, if any: replaces the handlers wholly. */
  readonly modules: unknown;
}

const schema = section({
  host: domain.optional(),
  host_type: domain.optional(),
  outgoing_pools: anything,
  modules: anything,
});

/**
 * Reads `[[host_config]]`. A host that is not ours is a mistake; a host type that is not ours has domains we cannot know.
 * `hosts` are ours, or undefined when mistakes hide them: then every host passes.
 */
export function readHostConfigs(value: unknown, hosts: readonly string[] | undefined, reading: Reading): readonly HostConfig[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    reading.mistake(['host_config'], { expected: 'a list of tables: [[host_config]]' });
    return [];
  }

  const byHost = new Map<string, HostConfig>();
  for (const [index, entry] of value.entries()) {
    const path = ['host_config', index];
    const host = readHost(entry, path, { hosts, reading });
    if (host === undefined || !isTable(entry)) continue;
    const before = byHost.get(host);
    if (before !== undefined)
      reading.mistake(path, { received: 'a table for a host', expected: `another host than in ${showPath(before.path)}` });
    else byHost.set(host, { host, path, pools: entry['outgoing_pools'], modules: entry['modules'] });
  }
  return [...byHost.values()];
}

function readHost(
  entry: unknown,
  path: Path,
  around: { readonly hosts: readonly string[] | undefined; readonly reading: Reading },
): string | undefined {
  const { hosts, reading } = around;
  const read = reading.read(schema, entry, path);
  if (read === undefined) return undefined;

  const { host, host_type: hostType } = read;
  const name = host ?? hostType;
  if (name === undefined || (host !== undefined && hostType !== undefined)) {
    reading.mistake(path, { expected: 'a table with either host or host_type' });
    return undefined;
  }
  if (hosts === undefined || hosts.includes(name)) return name;

  if (host === undefined) {
    reading.notice(`${showPath([...path, 'host_type'])}: "${name}" is no host in general.hosts: skipped`);
    return undefined;
  }
  const near = nearest(name, hosts);
  const expected = hosts.length === 0 ? 'a host of general.hosts, which has none' : `one of ${hosts.join(', ')}`;
  reading.mistake([...path, 'host'], { expected, hint: near === undefined ? undefined : `did you mean "${near}"?` });
  return undefined;
}
