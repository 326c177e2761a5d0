import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { toError } from '../../kit/errors.ts';
import { openClients } from './chat-clients.ts';
import type { ChatServer } from './chat-server.ts';
import { startChild } from './child.ts';
import { accepts, freePorts, loopback } from './loopback.ts';
import type { Scene } from './scene.ts';
import { until } from './until.ts';

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
  for (const [user, password] of Object.entries(passwords))
    await register(programs.prosodyctl, { configFile, user, password }, scene.signal);

  const child = startChild({ name: 'Prosody', program: programs.prosody, args: ['--config', configFile, '-F'], logFile }, scene.cleanup);
  const isUp = async () => {
    child.assertRunning();
    return (await accepts(clientPort)) && (await accepts(componentPort));
  };
  await until(isUp, { problem: `Prosody does not listen; its log is ${logFile}`, withinMs: 20_000, ...scene });

  scene.page.row('server', `Prosody ${await versionFrom(logFile)}, started for this demo alone: ${programs.prosody}`);
  scene.page.row('listens on', `${loopback}:${clientPort} for clients, ${loopback}:${componentPort} for components`);
  scene.page.row('module', join(pluginFolder(), 'mod_event_pusher_tap.lua'));
  return {
    host,
    component,
    openChat: () => openClients({ port: clientPort, host, passwords }, scene),
    invitation: `alice@${host} (password ${passwords.alice}) or bob@${host} (${passwords.bob}), server ${loopback} port ${clientPort}, no TLS`,
    assertRunning: child.assertRunning,
  };
}

interface Account {
  readonly configFile: string;
  readonly user: string;
  readonly password: string;
}

async function register(prosodyctl: string, { configFile, user, password }: Account, signal: AbortSignal): Promise<void> {
  try {
    await promisify(execFile)(prosodyctl, ['--config', configFile, 'register', user, host, password], { signal, timeout: 20_000 });
  } catch (thrown) {
    signal.throwIfAborted();
    throw new Error(`prosodyctl could not create the account ${user}@${host}: ${toError(thrown).message}`, { cause: thrown });
  }
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
