import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Environment, readEnvironment } from '../src/config/environment.ts';
import type { ChatServer } from './chat.ts';
import { openClients } from './chat.ts';
import { accepts, findProgram, freePorts, loopback, startChild, tail } from './processes.ts';
import type { Scene } from './scene.ts';
import { settled, until } from './scene.ts';

/** Prosody's two programs. */
export interface ProsodyPrograms {
  readonly prosody: string;
  readonly prosodyctl: string;
}

const host = 'localhost';
const domain = 'pusher.localhost';

/** Starts a Prosody only for this demo, with its own loopback ports and all its files in the folder of the scene. */
export async function startProsody(programs: ProsodyPrograms, scene: Scene): Promise<ChatServer> {
  const [clientPort = 0, componentPort = 0] = await freePorts(2);
  const passwords = { alice: randomBytes(6).toString('hex'), bob: randomBytes(6).toString('hex') };
  const component = { port: componentPort, domain, secret: randomBytes(16).toString('hex') };
  const folder = join(scene.folder, 'prosody');
  const configFile = join(folder, 'prosody.cfg.lua');
  const logFile = join(folder, 'prosody.log');
  await mkdir(join(folder, 'certs'), { recursive: true }); // Prosody logs an error if it is missing
  await writeFile(configFile, prosodyConfig({ folder, clientPort, component }), { mode: 0o600 });
  for (const [user, password] of Object.entries(passwords)) await register(programs.prosodyctl, { configFile, user, password }, scene);

  const child = startChild({ name: 'Prosody', program: programs.prosody, args: ['--config', configFile, '-F'], logFile }, scene.cleanup);
  const isUp = async () => {
    child.assertRunning();
    return (await accepts(clientPort)) && (await accepts(componentPort));
  };
  await until(isUp, { problem: () => `Prosody does not listen. Its log ends with\n${tail(logFile)}`, withinMs: 20_000, ...scene });

  scene.page.row('server', `Prosody ${await versionFrom(logFile)}, started only for this demo: ${programs.prosody}`);
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

/** A server with two accounts, without federation and without TLS. */
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

/** Works in a checkout and in an installed package. */
function pluginFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve('xmpp-event-pusher/package.json')), 'plugins', 'prosody');
}

async function versionFrom(logFile: string): Promise<string> {
  const [, version = ''] = /Prosody version (\S+)/.exec(await readFile(logFile, 'utf8')) ?? [];
  return version;
}

/** Debian calls this program before it starts a service; exit code 101 forbids the start. */
const policyFile = '/usr/sbin/policy-rc.d';
const serviceScript = '/etc/init.d/prosody';
/** Exists while systemd starts the service at boot. */
const serviceLink = '/etc/systemd/system/multi-user.target.wants/prosody.service';
const pidFile = '/run/prosody/prosody.pid';

const aptOptions = [
  '-q',
  '-o',
  'Dpkg::Use-Pty=0',
  '-o',
  'DPkg::Lock::Timeout=60',
  '-o',
  'Acquire::http::Timeout=20',
  '-o',
  'Acquire::Retries=1',
];

/**
 * Installs Debian's package of Prosody after a message, and leaves its service neither running nor enabled. Returns the
 * problem, or an empty text.
 */
export async function installProsody(scene: Scene): Promise<string> {
  const apt = findProgram('apt-get', readEnvironment());
  if (apt === undefined) return 'Prosody is not installed, and this machine has no apt-get';
  if (process.getuid?.() !== 0) return 'Prosody is not installed, and only root can install it';

  scene.page.say("Prosody is not installed: installing Debian's package with apt-get; its service will be neither started nor enabled.");
  const allowStarts = forbidStarts(scene);
  const keepServiceOff = watchService(scene);
  const logFile = join(scene.folder, 'apt.log');
  const get = (args: readonly string[]) => runApt({ apt, args, logFile }, scene);
  const install = ['install', '-y', '--no-install-recommends', 'prosody'];
  const isInstalled = (await get(install)) || ((await get(['update'])) && (await get(install)));
  await keepServiceOff();
  allowStarts();
  return isInstalled ? '' : `Prosody is not installed, and apt-get failed: ${lastError(logFile)}`;
}

/** An existing policy of the machine is kept. Returns the undo function. */
function forbidStarts({ cleanup }: Scene): () => void {
  let isOurs = false;
  const undo = () => {
    if (isOurs) rmSync(policyFile, { force: true });
    isOurs = false;
  };
  if (!existsSync(policyFile)) {
    writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    isOurs = true;
  }
  cleanup.add(policyFile, { inOrder: undo, atOnce: undo });
  return undo;
}

/** Runs apt-get and shows its progress; returns whether it succeeded. */
async function runApt(
  { apt, args, logFile }: { readonly apt: string; readonly args: readonly string[]; readonly logFile: string },
  { page, cleanup, ...wait }: Scene,
): Promise<boolean> {
  const env: Environment = { ...readEnvironment(), DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', NEEDRESTART_SUSPEND: '1' };
  page.row('apt-get', args.filter((arg) => !arg.startsWith('-')).join(' '));
  const newLines = followLines(logFile);
  // SIGINT ends downloads; apt-get finishes a package that it is unpacking
  const child = startChild(
    { name: 'apt-get', program: apt, args: [...aptOptions, ...args], env, logFile, stopSignal: 'SIGINT', stopTimeoutMs: 120_000 },
    cleanup,
  );
  let code: number | null | undefined;
  void child.ended.then((ended) => {
    code = ended;
  });
  const showProgress = () => {
    for (const line of newLines().filter((line) => /^(Get:|Unpacking|Setting up)/.test(line))) page.row('', line, 'quiet');
    return code !== undefined;
  };
  await until(showProgress, { problem: () => `apt-get did not end. Its output ends with\n${tail(logFile)}`, withinMs: 300_000, ...wait });
  return code === 0;
}

/** The complete lines written to a file since the last call. */
function followLines(file: string): () => string[] {
  const read = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);
  let shown = read().length;
  return () => {
    const lines = read().slice(shown);
    shown += lines.length;
    return lines;
  };
}

/** Returns a function that turns the package's service off; it also runs if the demo is interrupted. */
function watchService({ page, cleanup }: Scene): () => Promise<void> {
  let isDone = false;
  const keepOff = async () => {
    if (isDone || findProgram('prosody', readEnvironment()) === undefined) return;
    isDone = true;
    if (await turnServiceOff()) page.row('', 'installed; its service is neither running nor enabled', 'good');
    else page.say("The package's service could not be turned off. Please run: systemctl disable --now prosody", 'bad');
  };
  cleanup.add("the service of Prosody's package", { inOrder: keepOff });
  return keepOff;
}

/** Debian enables a service on installation, and an existing policy may have permitted its start. */
async function turnServiceOff(): Promise<boolean> {
  const isSystemd = existsSync('/run/systemd/system');
  await attempt('systemctl', ['disable', ...(isSystemd ? ['--now'] : []), 'prosody']);
  await attempt('update-rc.d', ['prosody', 'disable']);
  if (!isSystemd) await attempt(serviceScript, ['stop']);

  const isRunning = existsSync(pidFile) && existsSync(`/proc/${readFileSync(pidFile, 'utf8').trim()}`);
  return !isRunning && !existsSync(serviceLink);
}

/** Ignores a failure: the result is checked afterwards. */
async function attempt(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { timeout: 30_000 }).catch(() => undefined);
}

function lastError(logFile: string): string {
  const errors = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('E: '));
  return errors.at(-1)?.slice(3) ?? 'it gives no reason';
}
