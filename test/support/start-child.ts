import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export type Child = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Starts a process that never outlives the test process: neither when the test times out, nor when its runner is killed, which
 * runs no `exit` listener (`setpriv` of util-linux asks the kernel, prctl(2)).
 */
export function startChild(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Child {
  const bound = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', command, ...args] : [command, ...args];
  const [program = command, ...rest] = bound;
  const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const endWithUs = () => void child.kill('SIGKILL');
  process.on('exit', endWithUs);
  child.once('exit', () => process.off('exit', endWithUs));
  return child;
}
