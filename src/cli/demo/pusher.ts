import { writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChatServer } from './chat-server.ts';
import { startChild, tail } from './child.ts';
import { freePorts, loopback } from './loopback.ts';
import type { Scene } from './scene.ts';
import { until } from './until.ts';

/** The service, as `run` runs it. */
export interface Pusher {
  /** Of metrics and health. */
  readonly admin: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Throws when it has ended by itself. */
  assertRunning(): void;
}

export interface PusherOptions {
  readonly server: ChatServer;
  /** Origin of the backend. */
  readonly backend: string;
}

/** Writes a configuration file and starts the service from it, in a process of its own; resolves when it is ready. */
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
    return answersWell(`${admin}/readyz`);
  };
  await until(isReady, { problem: () => `the service is not ready. Its log ends with\n${tail(logFile)}`, withinMs: 30_000, ...scene });
  return { admin, configFile, logFile, assertRunning: child.assertRunning };
}

function pusherConfig({ server, backend, adminPort }: PusherOptions & { readonly adminPort: number }): string {
  const { host, component } = server;
  return `# Written by \`event-pusher demo\`, and removed when it ends.

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

/** The command line's entry stands one folder up, as .ts in a checkout under tsx and as .js in the build. */
function mainFile(): string {
  return fileURLToPath(new URL(`../main${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
}

async function answersWell(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false; // nobody listens yet
  }
}
