import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { load, mistakeLines } from './write-config.ts';

const connection = (host: string): string => `.connection]\nhost = "${host}"\n`;

test('a complete mongooseim.toml loads, with one notice per skipped section', async () => {
  const config = await loadConfig(fileURLToPath(new URL('../fixtures/config/mongooseim.toml', import.meta.url)), {});
  const skipped = config.notices.filter((notice) => notice.endsWith(' is a setting of MongooseIM: skipped'));
  expect(skipped.map((notice) => notice.split(' ', 1)[0]).sort()).toEqual([
    'access',
    'acl',
    'auth',
    'general.all_metrics_are_global',
    'general.default_server_domain',
    'general.http_server_name',
    'general.language',
    'general.max_fsm_queue',
    'general.rdbms_server_type',
    'general.registration_timeout',
    'general.sm_backend',
    'host_config[0].auth',
    'instrumentation',
    'internal_databases',
    'listen',
    'modules.mod_adhoc',
    'modules.mod_event_pusher.rabbit',
    'modules.mod_event_pusher.sns',
    'modules.mod_roster',
    'outgoing_pools.rdbms',
    'outgoing_pools.redis',
    's2s',
    'services',
    'shaper',
  ]);
  expect(config.handlers.map(({ hosts, pool, requestPath }) => ({ hosts, pool, requestPath }))).toEqual([
    { hosts: ['localhost'], pool: 'http_pool@localhost', requestPath: '/webservice/notifications' },
    { hosts: ['anonymous.localhost'], pool: 'http_pool@anonymous.localhost', requestPath: '/anonymous' },
  ]);
});

test('pool options with another meaning than in MongooseIM give notices', async () => {
  const { notices } = await loadConfig(fileURLToPath(new URL('../fixtures/config/mongooseim.toml', import.meta.url)), {});
  expect(notices).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^outgoing_pools\.http\.http_pool\.strategy: "best_worker" works as "available_worker"/),
      expect.stringMatching(/^outgoing_pools\.http\.http_pool\.max_worker_queue_len: has no effect/),
      expect.stringMatching(/^outgoing_pools\.http\.http_pool\.call_timeout: ends an attempt after 1000 ms/),
      expect.stringMatching(/^outgoing_pools\.http\.http_pool\.call_timeout: starts when a worker takes the request/),
    ]),
  );
});

test.each(['best_worker', 'random_worker', 'next_worker', 'next_available_worker'])(
  'the strategy %s is accepted with a notice',
  async (strategy) => {
    const config = await load(`[outgoing_pools.http.p]\nstrategy = "${strategy}"\n[outgoing_pools.http.p${connection('http://a')}`);
    expect(config.notices.join('\n')).toContain(`outgoing_pools.http.p.strategy: "${strategy}" works as "available_worker"`);
  },
);

test('the notice about next_available_worker says that no request fails immediately', async () => {
  const config = await load(`[outgoing_pools.http.p]\nstrategy = "next_available_worker"\n[outgoing_pools.http.p${connection('http://a')}`);
  expect(config.notices.join('\n')).toContain('and a request never fails because all workers are busy');
});

test('a call_timeout that is not in the file gives no notice', async () => {
  const config = await load(`[outgoing_pools.http.p${connection('http://a')}`);
  expect(config.notices.join('\n')).not.toContain('call_timeout');
});

test('the strategy available_worker gives no notice', async () => {
  const config = await load(`[outgoing_pools.http.p]\nstrategy = "available_worker"\n[outgoing_pools.http.p${connection('http://a')}`);
  expect(config.notices.join('\n')).not.toContain('strategy');
});

test.each(['host', 'host_type'])('scope = "%s" makes one pool and one handler per host', async (scope) => {
  const config = await load(`
    [general]\nhosts = ["a.example", "b.example"]
    [outgoing_pools.http.http_pool]\nscope = "${scope}"
    [outgoing_pools.http.http_pool${connection('http://backend')}
    [modules.mod_event_pusher.backend.http]\nname = "push"`);
  expect(config.pools.map(({ id }) => id)).toEqual(['http_pool@a.example', 'http_pool@b.example']);
  expect(config.handlers.map(({ name, hosts, pool }) => [name, hosts, pool])).toEqual([
    ['push@a.example', ['a.example'], 'http_pool@a.example'],
    ['push@b.example', ['b.example'], 'http_pool@b.example'],
  ]);
});

const threeHosts = `
[general]\nhosts = ["a.example", "b.example", "c.example"]
[outgoing_pools.http.http_pool${connection('http://backend')}
[modules.mod_event_pusher.backend.http]\nname = "push"
`;

test('a host’s own pool is used only by that host, other hosts use the global pool', async () => {
  const config = await load(
    `${threeHosts}[[host_config]]\nhost = "b.example"\n[host_config.outgoing_pools.http.http_pool${connection('http://other')}`,
  );
  expect(config.pools.map(({ id, origin }) => [id, origin])).toEqual([
    ['http_pool', 'http://backend'],
    ['http_pool@b.example', 'http://other'],
  ]);
  expect(config.handlers.map(({ name, hosts, pool }) => [name, hosts, pool])).toEqual([
    ['push', ['a.example', 'c.example'], 'http_pool'],
    ['push@b.example', ['b.example'], 'http_pool@b.example'],
  ]);
});

test('a host’s modules replace all handlers, even if they contain none', async () => {
  const config = await load(`${threeHosts}
    [[host_config]]\nhost = "b.example"\n[[host_config.modules.mod_event_pusher.http.handlers]]\npath = "/b"\nname = "push"
    [[host_config]]\nhost_type = "c.example"\n[host_config.modules.mod_roster]`);
  expect(config.handlers.map(({ name, hosts, path }) => [name, hosts, path])).toEqual([
    ['push', ['a.example'], ''],
    ['push@b.example', ['b.example'], '/b'],
  ]);
});

test('an unknown host type is skipped with a notice', async () => {
  const config = await load(`${threeHosts}[[host_config]]\nhost_type = "dynamic"`);
  expect(config.notices).toContain('host_config[0].host_type: "dynamic" is not in general.hosts: skipped');
});

test('mistakes in host_config are reported', async () => {
  const lines = await mistakeLines(`${threeHosts}
    [[host_config]]\nhost = "d.example"
    [[host_config]]\nhost = "b.example"\nhost_type = "b.example"
    [[host_config]]\nhost = "c.example"
    [host_config.outgoing_pools.http.own]\nscope = "global"\n[host_config.outgoing_pools.http.own${connection('http://own')}
    [host_config.modules.mod_event_pusher.backend.http]\npool_name = "onw"
    [[host_config]]\nhost = "c.example"`);
  expect(lines).toEqual([
    'host_config[0].host: received "d.example", expected one of a.example, b.example, c.example (did you mean "a.example"?)',
    'host_config[1]: received a table, expected a table with either host or host_type',
    'host_config[3]: received a second table for c.example, expected another host than in host_config[2]',
    'host_config[2].outgoing_pools.http.own.scope: received "global", expected no scope: [[host_config]] sets the host',
    'host_config[2].modules.mod_event_pusher.backend.http.pool_name: received "onw", expected one of http_pool, own (the pools in outgoing_pools.http) (did you mean "own"?)',
  ]);
});

test('a pool of one host is missing for the others', async () => {
  const lines = await mistakeLines(`
    [general]\nhosts = ["a.example", "b.example"]
    [modules.mod_event_pusher.backend.http]
    [[host_config]]\nhost = "b.example"\n[host_config.outgoing_pools.http.http_pool${connection('http://other')}`);
  expect(lines).toEqual([
    'modules.mod_event_pusher.backend.http.pool_name: received "http_pool" for a.example, expected a pool under outgoing_pools.http, which defines none',
  ]);
});
