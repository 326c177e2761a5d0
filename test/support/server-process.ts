import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually, hangMs } from './eventually.ts';
import { type Child, startChild } from './start-child.ts';

/** A server as a child process of the test, which can be stopped and started again. */
export interface ServerProcess {
  /** The id of the current process; 0 without one. */
  pid(): number;
  /** Its output so far, over all starts. */
  logs(): string;
  /** Resolves when all its ports accept connections and it answers; rejects with its log if it exits before, and then leaves no process. */
  start(): Promise<void>;
  /** Sends SIGTERM or its own signal, and waits for its end; rejects with its log if it does not end. */
  stop(): Promise<void>;
  /** Sends SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export function createServerProcess(options: {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly ports: readonly number[];
  /** Signal that stops it cleanly. Default: SIGTERM. */
  readonly stopSignal?: 'SIGINT' | 'SIGTERM';
  /** Resolves when it has read its configuration, because some servers open their ports before that. Default: at once. */
  readonly answers?: () => Promise<unknown>;
  /**
   * Its log message if another process has one of its ports, for a server that continues without it: the test would talk to the
   * other process.
   */
  readonly cannotListen?: RegExp;
}): ServerProcess {
  const { command, args, env = process.env, ports, answers = () => Promise.resolve(), cannotListen, stopSignal = 'SIGTERM' } = options;
  let running: Child | undefined;
  let log = '';

  function remember(text: string): void {
    log += text;
  }

  async function start(): Promise<void> {
    const child = startChild(command, args, env);
    running = child;
    const before = log.length;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', remember);
    // Not `exit`: the output that says why may not have been read by then.
    const ended = once(child, 'close').then(([code]) => {
      throw new Error(`${command} ended with ${code}:\n${log}`);
    });
    const listening = eventually(() => Promise.all(ports.map(accepts)));
    try {
      await Promise.race([listening.then(answers), ended]);
      if (cannotListen?.test(log.slice(before)) === true) throw new Error(`${command}: address already in use:\n${log.slice(before)}`);
    } catch (error) {
      await end('SIGKILL');
      throw error;
    }
  }

  async function end(signal: 'SIGINT' | 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = running;
    running = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(hangMs) });
    child.kill(signal);
    try {
      await exited;
    } catch {
      child.kill('SIGKILL');
      throw new Error(`${command} did not end within ${hangMs} ms of ${signal}:\n${log}`);
    }
  }

  /**
   * A single-threaded server that has answered has processed the ends of all connections that were cut before. Prosody 0.12 never
   * stops if SIGTERM interrupts the removal of a session: its handler fails on the half-removed session, and no later signal runs.
   */
  async function stop(): Promise<void> {
    await answers().catch(() => undefined);
    await end(stopSignal);
  }

  return {
    pid: () => running?.pid ?? 0,
    logs: () => log,
    start,
    stop,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await stop();
      await start();
    },
  };
}

async function accepts(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
