import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { openClients } from './chat-clients.ts';
import type { ChatServer } from './chat-server.ts';
import { startChild, tail } from './child.ts';
import { accepts, freePorts, loopback } from './loopback.ts';
import type { Scene } from './scene.ts';
import { settled, until } from './until.ts';

/** Prosody's two programs. */
export interface ProsodyPrograms {
  readonly prosody: string;
  readonly prosodyctl: string;
}

const host = 'localhost';
const domain = 'pusher.localhost';

/** Starts a Prosody for this demo alone: its own ports of the loopback interface, and everything it writes in the scene's folder. */
export async function startProsody(programs: ProsodyPrograms, scene: Scene): Promise<ChatServer> {
  const [clientPort = 0, componentPort = 0] = await freePorts(2);
  const passwords = { alice: randomBytes(6).toString('hex'), bob: randomBytes(6).toString('hex') };
  const component = { port: componentPort, domain, secret: randomBytes(16).toString('hex') };
  const folder = join(scene.folder, 'prosody');
  const configFile = join(folder, 'prosody.cfg.lua');
  const logFile = join(folder, 'prosody.log');
  await mkdir(join(folder, 'certs'), { recursive: true }); // it complains when there is none
  await writeFile(configFile, prosodyConfig({ folder, clientPort, component }), { mode: 0o600 });
  for (const [user, password] of Object.entries(passwords)) await register(programs.prosodyctl, { configFile, user, password }, scene);

  const child = startChild({ name: 'Prosody', program: programs.prosody, args: ['--config', configFile, '-F'], logFile }, scene.cleanup);
  const isUp = async () => {
    child.assertRunning();
    return (await accepts(clientPort)) && (await accepts(componentPort));
  };
  await until(isUp, { problem: () => `Prosody does not listen. Its log ends with\n${tail(logFile)}`, withinMs: 20_000, ...scene });

  scene.page.row('server', `Prosody ${await versionFrom(logFile)}, started for this demo alone: ${programs.prosody}`);
  scene.page.row('listens on', `${loopback}:${clientPort} for clients, ${loopback}:${componentPort} for components`);
  scene.page.row('module', join(pluginFolder(), 'mod_event_pusher_tap.lua'));
  const accounts = Object.entries(passwords)
    .map(([user, password]) => `${user}@${host}, password ${password}`)
    .join('\n');
  return {
    host,
    component,
    chatters: 'alice and bob, each logged in with @xmpp/client',
    openChat: () => openClients({ port: clientPort, host, passwords }, scene),
    invitation: `${accounts}\nserver ${loopback}, port ${clientPort}, no TLS`,
    assertRunning: child.assertRunning,
  };
}

interface Account {
  readonly configFile: string;
  readonly user: string;
  readonly password: string;
}

async function register(prosodyctl: string, { configFile, user, password }: Account, scene: Scene): Promise<void> {
  const logFile = join(scene.folder, 'prosodyctl.log');
  const args = ['--config', configFile, 'register', user, host, password];
  const child = startChild({ name: 'prosodyctl', program: prosodyctl, args, logFile }, scene.cleanup);
  const problem = 'prosodyctl did not end';
  const code = await settled(child.ended, { problem, withinMs: 20_000, ...scene });
  if (code !== 0) throw new Error(`prosodyctl could not create the account ${user}@${host}:\n${tail(logFile)}`);
}

interface Wiring {
  readonly folder: string;
  readonly clientPort: number;
  readonly component: ChatServer['component'];
}

/** A server with two accounts and no neighbours, over bare loopback connections. */
function prosodyConfig({ folder, clientPort, component }: Wiring): string {
  const lua = JSON.stringify;
  return `run_as_root = true
pidfile = ${lua(join(folder, 'prosody.pid'))}
data_path = ${lua(folder)}
plugin_paths = { ${lua(pluginFolder())} }
log = { { levels = { min = "info" }, to = "console" } }
interfaces = { "${loopback}" }
c2s_ports = { ${clientPort} }
c2s_direct_tls_ports = {}
component_interfaces = { "${loopback}" }
component_ports = { ${component.port} }
authentication = "internal_hashed"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
modules_enabled = { "disco", "ping", "roster", "saslauth" }
modules_disabled = { "s2s", "tls" }

VirtualHost "${host}"
  modules_enabled = { "event_pusher_tap" }

Component "${component.domain}"
  component_secret = ${lua(component.secret)}
`;
}

/** In a checkout and in an installed package alike. */
function pluginFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve('xmpp-event-pusher/package.json')), 'plugins', 'prosody');
}

async function versionFrom(logFile: string): Promise<string> {
  const [, version = ''] = /Prosody version (\S+)/.exec(await readFile(logFile, 'utf8')) ?? [];
  return version;
}
