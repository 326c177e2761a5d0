import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/**
 * Runs `appending-process.ts`, which appends and settles without end, until the test ends; `lines` returns its output. The output is a file,
 * because Node writes to a file at once: lines queued for a pipe would be lost with the process, although their deliveries are settled.
 */
export function startAppending(spoolPath: string, ...more: readonly string[]): { child: ChildProcess; lines: () => string[] } {
  const entry = fileURLToPath(new URL('./appending-process.ts', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'appending-'));
  const output = join(folder, 'output');
  const file = openSync(output, 'w');
  const options: SpawnOptions = { stdio: ['ignore', file, 'inherit'] };
  const child = spawn(process.execPath, ['--import', 'tsx', entry, spoolPath, ...more], options);
  closeSync(file);
  onTestFinished(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  return { child, lines: () => readFileSync(output, 'utf8').split('\n').slice(0, -1) };
}
