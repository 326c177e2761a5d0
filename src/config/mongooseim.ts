/**
 * The structure of a `mongooseim.toml`: sections of MongooseIM are skipped with one notice each, `[[host_config]]` overrides
 * settings per host, and handlers stand in the places that the releases of MongooseIM have used. Keys that MongooseIM does not
 * know either are kept, so that the schemas refuse them.
 */
import { editDistance, nearest } from '../kit/nearest.ts';
import { asTable, isTable, type Path, showPath, type Table } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';
import { anything, domain, section } from './values.ts';

const foreignSections = ['access', 'acl', 'auth', 'instrumentation', 'internal_databases', 'listen', 's2s', 'services', 'shaper'];

const foreignGeneralKeys = [
  'all_metrics_are_global',
  'component_backend',
  'cowboy_server_name',
  'default_server_domain',
  'domain_certfile',
  'hide_service_name',
  'host_types',
  'http_server_name',
  'language',
  'max_fsm_queue',
  'mongooseimctl_access_commands',
  'override',
  'pgsql_users_number_estimate',
  'rdbms_server_type',
  'registration_timeout',
  'replaced_wait_timeout',
  'route_subdomains',
  'routing_modules',
  's2s_backend',
  'sm_backend',
  'windowed_metrics',
];

const foreignPoolTypes = ['amqp', 'cassandra', 'elastic', 'ldap', 'rabbit', 'rdbms', 'redis', 'riak'];
const foreignBackends = ['push', 'rabbit', 'sns'];
const ourModules = ['mod_event_pusher', 'mod_event_pusher_http'];

interface Split {
  /** The sections of the event pusher. */
  readonly own: Table;
  readonly notices: readonly string[];
}

/** Removes the sections and keys of MongooseIM from a file. */
export function withoutForeign(file: Table): Split {
  const notices: string[] = [];

  const withoutKeys: Without = (value, isForeign, path) => {
    if (!isTable(value)) return value;
    const kept: [string, unknown][] = [];
    for (const [key, item] of Object.entries(value)) {
      if (isForeign(key)) notices.push(`${showPath([...path, key])} is a setting of MongooseIM: skipped`);
      else kept.push([key, item]);
    }
    return Object.fromEntries(kept);
  };

  const own = ownSections(asTable(withoutKeys(file, among(foreignSections), [])), [], withoutKeys);
  const perHost = own['host_config'];
  if (!Array.isArray(perHost)) return { own, notices };

  const ownPerHost = perHost.map((entry, index) => {
    if (!isTable(entry)) return entry;
    const path = ['host_config', index];
    return ownSections(asTable(withoutKeys(entry, among([...foreignSections, 'general']), path)), path, withoutKeys);
  });
  return { own: { ...own, host_config: ownPerHost }, notices };
}

type Without = (value: unknown, isForeign: (key: string) => boolean, path: Path) => unknown;

/** Filters the sections in which settings of both programs stand. */
function ownSections(sections: Table, path: Path, withoutKeys: Without): Table {
  const own: Record<string, unknown> = { ...sections };
  if ('general' in own) own['general'] = withoutKeys(own['general'], among(foreignGeneralKeys), [...path, 'general']);
  if ('outgoing_pools' in own) {
    own['outgoing_pools'] = withoutKeys(own['outgoing_pools'], among(foreignPoolTypes), [...path, 'outgoing_pools']);
  }
  if ('modules' in own) own['modules'] = ownModules(own['modules'], [...path, 'modules'], withoutKeys);
  return own;
}

function ownModules(value: unknown, path: Path, withoutKeys: Without): unknown {
  const modules = withoutKeys(value, isForeignModule, path);
  if (!isTable(modules) || !isTable(modules['mod_event_pusher'])) return modules;

  const pusherPath = [...path, 'mod_event_pusher'];
  const pusher = asTable(withoutKeys(modules['mod_event_pusher'], among(foreignBackends), pusherPath));
  if (!('backend' in pusher)) return { ...modules, mod_event_pusher: pusher };
  const backend = withoutKeys(pusher['backend'], among(foreignBackends), [...pusherPath, 'backend']);
  return { ...modules, mod_event_pusher: { ...pusher, backend } };
}

/** A name close to one of our modules counts as a typing error, so that the schema reports it. */
function isForeignModule(name: string): boolean {
  return ourModules.every((ours) => editDistance(name, ours) > 2);
}

function among(names: readonly string[]): (key: string) => boolean {
  return (key) => names.includes(key);
}

/** One `[[host_config]]`: the settings of one host. */
export interface HostConfig {
  readonly host: string;
  readonly path: Path;
  /** Its `outgoing_pools`, if any: override pools by name. */
  readonly pools: unknown;
  /** Its `modules`, if any: replace all handlers of the host. */
  readonly modules: unknown;
}

const hostConfigSchema = section({
  host: domain.optional(),
  host_type: domain.optional(),
  outgoing_pools: anything,
  modules: anything,
});

/**
 * Reads `[[host_config]]`. An unknown host is a mistake; an unknown host type is skipped, because its domains are unknown.
 * `hosts` is undefined if mistakes hide the hosts: then every host is accepted.
 */
export function readHostConfigs(value: unknown, hosts: readonly string[] | undefined, reader: SectionReader): readonly HostConfig[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    reader.mistake(['host_config'], { expected: 'a list of tables: [[host_config]]' });
    return [];
  }

  const byHost = new Map<string, HostConfig>();
  for (const [index, entry] of value.entries()) {
    const path = ['host_config', index];
    const host = readHost({ entry, path, hosts }, reader);
    if (host === undefined || !isTable(entry)) continue;
    const before = byHost.get(host);
    if (before === undefined) byHost.set(host, { host, path, pools: entry['outgoing_pools'], modules: entry['modules'] });
    else reader.mistake(path, { received: `a second table for ${host}`, expected: `another host than in ${showPath(before.path)}` });
  }
  return [...byHost.values()];
}

interface HostEntry {
  readonly entry: unknown;
  readonly path: Path;
  readonly hosts: readonly string[] | undefined;
}

function readHost({ entry, path, hosts }: HostEntry, reader: SectionReader): string | undefined {
  const read = reader.read(hostConfigSchema, entry, path);
  if (read === undefined) return undefined;

  const { host, host_type: hostType } = read;
  const name = host ?? hostType;
  if (name === undefined || (host !== undefined && hostType !== undefined)) {
    reader.mistake(path, { expected: 'a table with either host or host_type' });
    return undefined;
  }
  if (hosts === undefined || hosts.includes(name)) return name;

  if (host === undefined) {
    reader.notice([...path, 'host_type'], `"${name}" is not in general.hosts: skipped`);
    return undefined;
  }
  const near = nearest(name, hosts);
  const expected = hosts.length === 0 ? 'a host of general.hosts, which is empty' : `one of ${hosts.join(', ')}`;
  reader.mistake([...path, 'host'], { expected, hint: near === undefined ? undefined : `did you mean "${near}"?` });
  return undefined;
}

/** The table of one handler and its path. */
export interface HandlerTable {
  readonly value: Table;
  readonly path: Path;
}

/** The permitted content of `modules` after MongooseIM's other modules and backends are removed. */
const modulesSchema = section({
  mod_event_pusher: section({
    backend: section({ http: anything }).optional(),
    http: section({ handlers: anything }).optional(),
  }).optional(),
  mod_event_pusher_http: anything,
});

/**
 * Finds the handlers in all forms of MongooseIM's releases: `mod_event_pusher.backend.http` (a table or a list),
 * `mod_event_pusher.http.handlers` (a list), and `mod_event_pusher_http` (a table or a list).
 */
export function handlerTables(modules: unknown, path: Path, reader: SectionReader): readonly HandlerTable[] {
  if (modules === undefined) return [];
  reader.read(modulesSchema, modules, path);

  const pusher = asTable(asTable(modules)['mod_event_pusher']);
  const pusherPath = [...path, 'mod_event_pusher'];
  return [
    ...oneOrMany(asTable(pusher['backend'])['http'], [...pusherPath, 'backend', 'http'], reader),
    ...oneOrMany(asTable(pusher['http'])['handlers'], [...pusherPath, 'http', 'handlers'], reader),
    ...oneOrMany(asTable(modules)['mod_event_pusher_http'], [...path, 'mod_event_pusher_http'], reader),
  ];
}

function oneOrMany(value: unknown, path: Path, reader: SectionReader): readonly HandlerTable[] {
  if (value === undefined) return [];
  if (isTable(value)) return [{ value, path }];
  if (!Array.isArray(value)) {
    reader.mistake(path, { expected: 'the table of a handler, or a list of such tables' });
    return [];
  }
  return value.flatMap((item: unknown, index) => {
    if (isTable(item)) return [{ value: item, path: [...path, index] }];
    reader.mistake([...path, index], { expected: 'the table of a handler' });
    return [];
  });
}
