import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** Runs `appending-process.ts`, which appends and settles without end, until the test ends; `lines` returns its output. */
export function startAppending(spoolPath: string, ...more: readonly string[]): { child: ChildProcess; lines: () => string[] } {
  const entry = fileURLToPath(new URL('./appending-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', entry, spoolPath, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  return { child, lines: () => text.split('\n').slice(0, -1) };
}
