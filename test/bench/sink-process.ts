import { fork } from 'node:child_process';
import { once } from 'node:events';

/** Starts a sink in a separate process. */
export async function forkSink(): Promise<{ readonly origin: string; stop(): void }> {
  const child = fork(new URL('./sink.process.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
  const [origin]: string[] = await once(child, 'message');
  return { origin: origin ?? '', stop: () => void child.kill() };
}
