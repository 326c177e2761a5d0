/**
 * What stands in a whole `mongooseim.toml` beside the sections that are ours: set aside, with one notice each. What
 * MongooseIM does not know either stays, for the schemas to refuse.
 */
import { editDistance } from '../kit/nearest.ts';
import { asTable, isTable, type Path, showPath, type Table } from './table.ts';

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

export interface SetAside {
  readonly own: Table;
  readonly notices: readonly string[];
}

/** Splits a file into what is ours and what is not. */
export function setAsideForeign(file: Table): SetAside {
  const notices: string[] = [];

  const withoutKeys: Without = (value, isForeign, path) => {
    if (!isTable(value)) return value;
    const kept: [string, unknown][] = [];
    for (const [key, item] of Object.entries(value)) {
      if (isForeign(key)) notices.push(`${showPath([...path, key])} belongs to MongooseIM: skipped`);
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

/** Looks into the sections that hold both ours and others'. */
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

/** Other modules are MongooseIM's business; a name that is nearly ours is ours, mistyped. */
function isForeignModule(name: string): boolean {
  return ourModules.every((ours) => editDistance(name, ours) > 2);
}

function among(names: readonly string[]): (key: string) => boolean {
  return (key) => names.includes(key);
}
