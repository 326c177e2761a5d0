import { writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChatServer } from './chat.ts';
import { freePorts, loopback, startChild, tail } from './processes.ts';
import type { Scene } from './scene.ts';
import { until } from './scene.ts';

/** The service, started with `run`. */
export interface Pusher {
  /** URL of metrics and health checks. */
  readonly admin: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Throws if the service has ended by itself. */
  assertRunning(): void;
}

interface PusherOptions {
  readonly server: ChatServer;
  /** Origin of the backend. */
  readonly backend: string;
}

/** Writes a configuration file and starts the service in its own process; resolves when it is ready. */
export async function startPusher({ server, backend }: PusherOptions, scene: Scene): Promise<Pusher> {
  const [adminPort = 0] = await freePorts(1);
  const configFile = join(scene.folder, 'event-pusher.toml');
  const logFile = join(scene.folder, 'event-pusher.log');
  await writeFile(configFile, pusherConfig({ server, backend, adminPort }), { mode: 0o600 });

  const args = [...process.execArgv, mainFile(), 'run', '--config', configFile];
  const child = startChild({ name: 'the service', program: process.execPath, args, logFile }, scene.cleanup);
  const admin = `http://${loopback}:${adminPort}`;
  const isReady = async () => {
    child.assertRunning();
    return isOk(`${admin}/readyz`);
  };
  await until(isReady, { problem: () => `the service is not ready. Its log ends with\n${tail(logFile)}`, withinMs: 30_000, ...scene });
  return { admin, configFile, logFile, assertRunning: child.assertRunning };
}

function pusherConfig({ server, backend, adminPort }: PusherOptions & { readonly adminPort: number }): string {
  const { host, component } = server;
  return `# Written by \`event-pusher demo\`, which removes it at the end.

[general]
  hosts = ["${host}"]

[attach.chat]
  type = "component"
  service = "xmpp://${loopback}:${component.port}"
  domain = "${component.domain}"
  secret = "${component.secret}"

[outgoing_pools.http.http_pool]
  scope = "global"
  workers = 10
  [outgoing_pools.http.http_pool.connection]
    host = "${backend}"
    path_prefix = "/webservice"
    request_timeout = 2000

[modules.mod_event_pusher.backend.http]
  pool_name = "http_pool"
  path = "/notifications"
  callback_module = "mod_event_pusher_http_defaults"

[spool]
  path = "spool.sqlite"

[admin]
  listen = "${loopback}:${adminPort}"
`;
}

/** The entry of the command line, .ts in a checkout under tsx and .js in the build. */
function mainFile(): string {
  return fileURLToPath(new URL(`../src/cli/main${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
}

async function isOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false; // does not listen yet
  }
}
