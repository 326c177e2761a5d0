import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ComponentLogin } from './component-socket.ts';
import { hangMs } from './eventually.ts';
import type { Identity } from './self-signed.ts';
import { createServerProcess } from './server-process.ts';
import { freePort } from './target.ts';
import { connectUser, type UserLogin, type XmppUser } from './xmpp-user.ts';

/** A separate Prosody: free ports of 127.0.0.1, all its files in a fresh temporary directory. */
export interface Prosody extends AsyncDisposable {
  readonly c2sPort: number;
  /** Direct TLS, with `options.tls`. */
  readonly c2sTlsPort: number;
  readonly componentPort: number;
  /** BOSH at `/http-bind`, WebSocket at `/xmpp-websocket`. */
  readonly httpPort: number;
  /** The folder of all its files. */
  readonly directory: string;
  /** The first virtual host. */
  readonly host: string;
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
  /** Runs one command of the administration shell, such as `module:reload("event_pusher_tap")` or `> lua code`. */
  shell(command: string): Promise<string>;
}

export interface ProsodyOptions {
  /** Passwords by name; every virtual host has these users. */
  readonly users?: Readonly<Record<string, string>>;
  readonly hosts?: readonly string[];
  /** Default `pusher.` and the first host, secret `s3cret`. */
  readonly component?: { readonly domain: string; readonly secret: string };
  /** A domain of rooms (MUC) without history. */
  readonly rooms?: string;
  /** Modules of that domain. */
  readonly roomModules?: readonly string[];
  /** Modules in addition to those that a chat needs. */
  readonly modules?: readonly string[];
  /** Whether the virtual hosts load mod_event_pusher_tap; default true. */
  readonly tap?: boolean;
  /** Clients must encrypt, on `c2sPort` by STARTTLS; default: encryption is not available. */
  readonly tls?: Identity;
  /** The folder of our modules; default: those of the checkout. */
  readonly plugins?: string;
  /** Additional Lua for the global section. */
  readonly config?: string;
  /** Additional Lua at the end, like a file in `conf.d` of Debian. */
  readonly ending?: string;
}

const pluginPath = fileURLToPath(new URL('../../plugins/prosody', import.meta.url));

/** Another process may take a port between the search and its use; other ports are tried then. */
export async function startProsody(options: ProsodyOptions = {}): Promise<Prosody> {
  for (let attempts = 3; ; attempts -= 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempts === 1 || !String(error).includes('address already in use')) throw error;
    }
  }
}

async function startOnce(options: ProsodyOptions): Promise<Prosody> {
  const { users = { alice: 'pw', bob: 'pw', carol: 'pw' }, hosts = ['localhost'] } = options;
  const [host = 'localhost'] = hosts;
  const component = options.component ?? { domain: `pusher.${host}`, secret: 's3cret' };
  const ports = { c2s: await freePort(), c2sTls: await freePort(), component: await freePort(), http: await freePort() };
  const directory = await mkdtemp(join(tmpdir(), 'prosody-'));
  const configPath = join(directory, 'prosody.cfg.lua');
  await writeFile(configPath, configuration({ ...options, hosts, component }, { directory, ports }));
  await mkdir(join(directory, 'certs')); // without one it logs a complaint
  for (const part of ['cert', 'key'] as const) await writeFile(join(directory, 'certs', part), options.tls?.[part] ?? '');
  await writeAccounts(directory, hosts, users);

  const server = createServerProcess({
    command: 'prosody',
    args: ['--config', configPath, '-F'],
    ports: Object.values(ports).filter((port) => port !== ports.c2sTls || options.tls !== undefined),
    answers: () => fetch(`http://127.0.0.1:${ports.http}/`, { signal: AbortSignal.timeout(hangMs) }),
    cannotListen: /Failed to open server port/,
  });

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
  return {
    c2sPort: ports.c2s,
    c2sTlsPort: ports.c2sTls,
    componentPort: ports.component,
    httpPort: ports.http,
    directory,
    host,
    component: { port: ports.component, ...component },
    connect: (login) => connectUser({ host, ...login, port: (login.transport ?? 'tcp') === 'tcp' ? ports.c2s : ports.http }),
    ...server,
    shell: async (command) => {
      const { stdout } = await promisify(execFile)('prosodyctl', ['--config', configPath, 'shell', command]);
      return stdout.replace(/^\*{9,}[\s\S]*^\*{9,}/m, '').trim(); // its remarks about optional libraries
    },
    [Symbol.asyncDispose]: remove,
  };
}

interface Place {
  readonly directory: string;
  readonly ports: { readonly c2s: number; readonly c2sTls: number; readonly component: number; readonly http: number };
}

type Settled = ProsodyOptions & Required<Pick<ProsodyOptions, 'component' | 'hosts'>>;

function configuration(
  { hosts, component, rooms, roomModules = [], modules = [], tap = true, tls, plugins = pluginPath, config = '', ending = '' }: Settled,
  { directory, ports }: Place,
): string {
  const enabled = [
    'admin_shell',
    'blocklist',
    'bosh',
    'carbons',
    'disco',
    'mam',
    'ping',
    'roster',
    'saslauth',
    'smacks',
    'websocket',
    ...(tls === undefined ? [] : ['tls']),
    ...modules,
  ];
  const lua = JSON.stringify;
  return `
run_as_root = true
pidfile = ${lua(join(directory, 'prosody.pid'))}
data_path = ${lua(directory)}
plugin_paths = { ${lua(plugins)} }
log = { { levels = { min = "info" }, to = "console", timestamps = false } }
interfaces = { "127.0.0.1" }
c2s_ports = { ${ports.c2s} }
c2s_direct_tls_ports = { ${tls === undefined ? '' : ports.c2sTls} }
component_interfaces = { "127.0.0.1" }
component_ports = { ${ports.component} }
http_interfaces = { "127.0.0.1" }
http_ports = { ${ports.http} }
https_ports = {}
http_default_host = ${lua(hosts[0])}
authentication = "internal_plain"
allow_unencrypted_plain_auth = true
c2s_require_encryption = ${tls !== undefined}
ssl = { certificate = ${lua(join(directory, 'certs/cert'))}, key = ${lua(join(directory, 'certs/key'))} }
consider_bosh_secure = true
consider_websocket_secure = true
modules_enabled = { ${enabled.map((name) => lua(name)).join(', ')} }
modules_disabled = { "s2s"${tls === undefined ? ', "tls"' : ''} }
event_pusher_tap_component = ${lua(component.domain)}
${config}
${hosts.map((host) => `VirtualHost ${lua(host)}\n  modules_enabled = { ${tap ? '"event_pusher_tap"' : ''} }`).join('\n')}
Component ${lua(component.domain)}
  component_secret = ${lua(component.secret)}
  modules_disabled = { "s2s" }
${rooms === undefined ? '' : `Component ${lua(rooms)} "muc"\n  muc_room_locking = false\n  modules_enabled = { ${roomModules.map((name) => lua(name)).join(', ')} }`}
${ending}
`;
}

/** The accounts in the format of mod_storage_internal, which saves a process per user. */
async function writeAccounts(directory: string, hosts: readonly string[], users: Readonly<Record<string, string>>): Promise<void> {
  for (const host of hosts) {
    const accounts = join(directory, stored(host), 'accounts');
    await mkdir(accounts, { recursive: true });
    for (const [user, password] of Object.entries(users))
      await writeFile(join(accounts, `${stored(user)}.dat`), `return { ["password"] = ${JSON.stringify(password)} };\n`);
  }
}

/** A name in the path encoding of Prosody's datamanager. */
function stored(name: string): string {
  return name.replace(/[^A-Za-z0-9]/gu, (character) => Buffer.from(character).toString('hex').replace(/../g, '%$&'));
}
