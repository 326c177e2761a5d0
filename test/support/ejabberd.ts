import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ComponentLogin } from './component-socket.ts';
import { hangMs } from './eventually.ts';
import { createServerProcess } from './server-process.ts';
import { freePort } from './target.ts';
import { connectUser, type UserLogin, type XmppUser } from './xmpp-user.ts';

/**
 * A separate ejabberd: free ports of 127.0.0.1, all its files in a fresh temporary directory. Outside a cluster it is not an
 * Erlang node (no name, no epmd, no cookie), so that it never connects to an ejabberd of the system; its HTTP API replaces
 * `ejabberdctl`.
 */
export interface Ejabberd extends AsyncDisposable {
  readonly c2sPort: number;
  readonly componentPort: number;
  /** BOSH at `/http-bind`, WebSocket at `/xmpp-websocket`, the API at `/api`. */
  readonly httpPort: number;
  /** The first virtual host. */
  readonly host: string;
  /** The folder of its database. */
  readonly dataPath: string;
  /** The login of the component of `options.component`. */
  readonly component: ComponentLogin;
  /** Logs a user in on the port of its transport. */
  connect(login: Omit<UserLogin, 'port'>): Promise<XmppUser>;
  /** The id of the current process. */
  pid(): number;
  /** Its log so far. */
  logs(): string;
  /** Stops it as an administrator does; ports and data are kept for `start`. */
  stop(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again after `stop` or `kill`. */
  start(): Promise<void>;
  restart(): Promise<void>;
  /** Writes the configuration with other options of its modules, and reloads it. */
  reconfigure(modules: Readonly<Record<string, unknown>>): Promise<void>;
  /** Runs an `ejabberdctl` command over the HTTP API, such as `api('send_message', { type, from, to, subject, body })`. */
  api(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export interface EjabberdOptions {
  /** Passwords by name; every virtual host has these users. */
  readonly users?: Readonly<Record<string, string>>;
  readonly hosts?: readonly string[];
  /** Default `pusher.` and the first host, secret `s3cret`. */
  readonly component?: { readonly domain: string; readonly secret: string };
  /** Additional components, with the secret of `component`. */
  readonly otherComponents?: readonly string[];
  /** A domain of rooms (MUC) without history. */
  readonly rooms?: string;
  /** Modules in addition to those that a chat needs, as in `modules` of ejabberd.yml. */
  readonly modules?: Readonly<Record<string, unknown>>;
  /** Whether mod_service_log copies all messages to the component; default true. */
  readonly serviceLog?: boolean;
  /** Additional top-level options of ejabberd.yml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Folders of compiled modules. */
  readonly codePaths?: readonly string[];
  /**
   * The folder in which `ejabberdctl module_install` finds modules (`sources/`) and installs them; default: a folder that does
   * not exist.
   */
  readonly contributed?: string;
  /** Makes it a node of a cluster. */
  readonly node?: ClusterNode;
}

/** Nodes of one cluster share a port, each on its own loopback address, so that they find one another without epmd. */
export interface ClusterNode {
  readonly address: string;
  readonly port: number;
  readonly cookie: string;
  /** The address of the node whose cluster it joins at its start. */
  readonly joins?: string;
}

const controlScript = '/usr/sbin/ejabberdctl';

/** Another process may take a port between the search and its use; other ports are tried then. */
export async function startEjabberd(options: EjabberdOptions = {}): Promise<Ejabberd> {
  for (let attempts = 3; ; attempts -= 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempts === 1 || !String(error).includes('address already in use')) throw error;
    }
  }
}

async function startOnce(options: EjabberdOptions): Promise<Ejabberd> {
  const { users = { alice: 'pw', bob: 'pw', carol: 'pw' }, hosts = ['localhost'], codePaths = [] } = options;
  const [host = 'localhost'] = hosts;
  const component = options.component ?? { domain: `pusher.${host}`, secret: 's3cret' };
  const ports = { c2s: await freePort(), component: await freePort(), http: await freePort() };
  const directory = await mkdtemp(join(tmpdir(), 'ejabberd-'));
  const configPath = join(directory, 'ejabberd.yml');
  const dataPath = join(directory, 'data');

  function writeConfiguration(modules = options.modules): Promise<void> {
    const settled = { ...options, ...(modules === undefined ? {} : { modules }), hosts, component };
    return writeFile(configPath, JSON.stringify(configuration(settled, ports), null, 2)); // JSON is YAML
  }

  await writeConfiguration();
  const erlang = [
    '-noinput',
    ...(options.node === undefined ? [] : nodeArguments(options.node)),
    ...['-mnesia', 'dir', JSON.stringify(dataPath), 'core_dir', JSON.stringify(directory)],
  ];
  if (options.node?.joins !== undefined) await joinCluster(erlang, options.node.joins);

  const server = createServerProcess({
    command: 'erl',
    args: [...erlang, ...codePaths.flatMap((path) => ['-pa', path]), '-s', 'ejabberd'],
    env: {
      ...process.env,
      EJABBERD_CONFIG_PATH: configPath,
      EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
      CONTRIB_MODULES_PATH: options.contributed ?? join(directory, 'modules'),
      ERL_LIBS: await librariesPath(),
      ERL_CRASH_DUMP: join(directory, 'crash.dump'),
      HOME: directory,
    },
    ports: Object.values(ports),
  });

  async function api(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${ports.http}/api/${command}`, { method: 'POST', body: JSON.stringify(args) });
    if (!response.ok) throw new Error(`ejabberd refuses ${command}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async function remove(): Promise<void> {
    await server.kill(); // there is nothing to keep
    await rm(directory, { recursive: true, force: true });
  }

  try {
    await server.start();
  } catch (error) {
    await remove();
    throw error;
  }
  for (const virtualHost of hosts)
    for (const [user, password] of Object.entries(users)) await api('register', { user, host: virtualHost, password });

  return {
    c2sPort: ports.c2s,
    componentPort: ports.component,
    httpPort: ports.http,
    host,
    dataPath,
    component: { port: ports.component, ...component },
    connect: (login) => connectUser({ host, ...login, port: (login.transport ?? 'tcp') === 'tcp' ? ports.c2s : ports.http }),
    ...server,
    api,
    reconfigure: async (modules) => {
      await writeConfiguration(modules);
      await api('reload_config');
    },
    [Symbol.asyncDispose]: remove,
  };
}

function nodeArguments({ address, port, cookie }: ClusterNode): readonly string[] {
  const distribution = ['-name', nodeName(address), '-setcookie', cookie, '-start_epmd', 'false', '-erl_epmd_port', String(port)];
  return [...distribution, '-kernel', 'inet_dist_use_interface', `{${address.replaceAll('.', ',')}}`];
}

/** Creates a schema on the disk of the new node that contains the cluster, as `ejabberdctl join_cluster` does. */
async function joinCluster(erlang: readonly string[], joins: string): Promise<void> {
  const steps = 'ok = mnesia:start(), {atomic, ok} = mnesia:change_table_copy_type(schema, node(), disc_copies), halt().';
  const cluster = ['-mnesia', 'extra_db_nodes', `['${nodeName(joins)}']`];
  await promisify(execFile)('erl', [...erlang, ...cluster, '-eval', steps], { timeout: hangMs });
}

export function nodeName(address: string): string {
  return `ejabberd@${address}`;
}

type Settled = EjabberdOptions & Required<Pick<EjabberdOptions, 'component' | 'hosts'>>;

function configuration(
  { hosts, component, otherComponents = [], rooms, modules = {}, serviceLog = true, config = {} }: Settled,
  ports: { readonly c2s: number; readonly component: number; readonly http: number },
): Readonly<Record<string, unknown>> {
  const ip = '127.0.0.1';
  const { domain, secret } = component;
  const components = Object.fromEntries([domain, ...otherComponents].map((name) => [name, { password: secret }]));
  return {
    hosts,
    loglevel: 'info',
    listen: [
      { port: ports.c2s, ip, module: 'ejabberd_c2s', access: 'all' },
      { port: ports.component, ip, module: 'ejabberd_service', access: 'all', global_routes: false, hosts: components },
      {
        port: ports.http,
        ip,
        module: 'ejabberd_http',
        request_handlers: { '/api': 'mod_http_api', '/http-bind': 'mod_bosh', '/xmpp-websocket': 'ejabberd_http_ws' },
      },
    ],
    acl: { pusher_domain: { server: domain }, here: { ip: '127.0.0.0/8' } },
    access_rules: { s2s: [{ deny: 'pusher_domain' }, { allow: 'all' }] },
    s2s_access: 's2s',
    api_permissions: { 'the test': { from: ['mod_http_api'], who: [{ acl: 'here' }], what: '*' } },
    modules: {
      mod_blocking: {},
      mod_bosh: {},
      mod_carboncopy: {},
      mod_disco: {},
      mod_http_api: {},
      mod_mam: { default: 'always' },
      mod_offline: {},
      mod_ping: {},
      mod_privacy: {},
      mod_roster: {},
      mod_stream_mgmt: {},
      mod_admin_extra: {},
      ...(serviceLog ? { mod_service_log: { loggers: [domain] } } : {}),
      ...(rooms === undefined ? {} : { mod_muc: { hosts: [rooms], history_size: 0 } }),
      ...modules,
    },
    ...config,
  };
}

/** The folder of the distribution's Erlang libraries, as set in its control script. */
async function librariesPath(): Promise<string> {
  const script = await readFile(controlScript, 'utf8');
  return /^ERL_LIBS='([^']+)'/m.exec(script)?.[1] ?? '/usr/lib/erlang/lib';
}
