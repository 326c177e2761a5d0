import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Removes the free file descriptors of a process, and restores them; its open ones stay open. */
export interface DescriptorLimit extends AsyncDisposable {
  exhaust(): Promise<void>;
  restore(): Promise<void>;
}

/** A shell that already runs does it, because a process without descriptors cannot start one. */
export function limitDescriptors(pid: number): DescriptorLimit {
  const script = 'while read -r limit; do prlimit --pid "$1" --nofile="$limit:" && echo done; done';
  const shell = spawn('bash', ['-c', script, 'bash', String(pid)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface(shell.stdout);

  async function set(limit: number): Promise<void> {
    const done = once(answers, 'line');
    shell.stdin.write(`${limit}\n`);
    await done;
  }

  return {
    exhaust: () => set(3),
    restore: () => set(1024),
    [Symbol.asyncDispose]: async () => {
      await set(1024);
      const ended = once(shell, 'exit');
      shell.stdin.end();
      await ended;
    },
  };
}
