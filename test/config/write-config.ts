import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigInvalid, type Mistake, mistakeLine } from '../../src/config/mistakes.ts';
import type { Config } from '../../src/config/service-config.ts';

interface Beside {
  /** Further files in the folder of the configuration, by relative path. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** The default pool of handlers. */
export const pool = `
[outgoing_pools.http.http_pool.connection]
host = "http://localhost:8000"
`;

export const attachment = `
[attach.chat]
type = "component"
service = "xmpp://127.0.0.1"
domain = "pusher.localhost"
secret = "a secret of the test"
hosts = ["localhost"]
`;

export const listener = `
[attach.mim]
type = "http"
listen = "127.0.0.1:8080"
hosts = ["mim.example"]
`;

/** Writes `event-pusher.toml` into its own folder, which is deleted after the test. Returns the path of the file. */
export async function writeConfig(text: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'config-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries({ ...files, 'event-pusher.toml': text })) {
    const file = join(folder, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  return join(folder, 'event-pusher.toml');
}

export async function load(text: string, { files, env = {} }: Beside = {}): Promise<Config> {
  return loadConfig(await writeConfig(text, files), env);
}

/** The mistakes of an invalid configuration. */
export async function mistakesOf(text: string, beside: Beside = {}): Promise<readonly Mistake[]> {
  const error = await load(text, beside).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConfigInvalid) return error.mistakes;
  throw new Error('no mistakes were found', { cause: error });
}

export async function mistakeLines(text: string, beside: Beside = {}): Promise<readonly string[]> {
  return (await mistakesOf(text, beside)).map(mistakeLine);
}
