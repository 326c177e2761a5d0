import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startChild } from './start-child.ts';

/** The built command line. */
export const main = resolve(fileURLToPath(import.meta.url), '../../../dist/src/cli/main.js');

export interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built command line until it exits. */
export async function runCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliEnd> {
  const child = startChild(process.execPath, [main, ...args], { ...process.env, ...env });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stdout, stderr };
}
