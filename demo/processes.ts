/** Programs and ports of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { type Environment, readEnvironment } from '../src/config/environment.ts';
import { systemTimers, within } from '../src/kit/clock.ts';
import type { Cleanup } from './scene.ts';

export interface Child {
  /** Throws with the end of its output if it no longer runs. */
  assertRunning(): void;
  /** Resolves with its exit code, or null if a signal ended it. */
  readonly ended: Promise<number | null>;
}

export interface ChildCommand {
  /** Its name in messages: "Prosody". */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Environment;
  /** Receives its output. */
  readonly logFile: string;
  /** The signal that stops it; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** How long it may take to stop before it is killed, ms. */
  readonly stopTimeoutMs?: number;
}

/**
 * Starts a program that ends with the demo. It has its own process group, so that only the demo receives Ctrl-C and stops
 * its children in order.
 */
export function startChild(command: ChildCommand, cleanup: Cleanup): Child {
  const { name, program, args, env = readEnvironment(), logFile, stopSignal = 'SIGTERM', stopTimeoutMs = 10_000 } = command;
  const output = openSync(logFile, 'a', 0o600);
  const child = spawn(program, args, { stdio: ['ignore', output, output], detached: true, env });
  closeSync(output); // the child has its own copy
  let startError = '';
  child.on('error', (error) => {
    startError = error.message;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));

  async function stop(): Promise<void> {
    if (!runs(child)) return;
    child.kill(stopSignal);
    if (!(await within(ended, stopTimeoutMs, systemTimers))) killGroup(child);
    await ended;
  }

  cleanup.add(name, { inOrder: stop, atOnce: () => killGroup(child) });
  return {
    ended,
    assertRunning: () => {
      if (startError !== '') throw new Error(`${program} cannot be started: ${startError}`);
      if (!runs(child)) throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}:\n${tail(logFile)}`);
    },
  };
}

function runs(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Kills it together with its own children. */
function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined && runs(child)) process.kill(-child.pid, 'SIGKILL');
}

/** The last lines of a log, for an error's message. */
export function tail(file: string, lines = 12): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Folders of Debian that may be missing in the user's PATH. */
const usualFolders = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/** The path of a program; undefined if it is not installed. */
export function findProgram(name: string, env: Environment): string | undefined {
  const folders = [...(env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), ...usualFolders];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const loopback = '127.0.0.1';

/** Distinct free ports of the loopback interface. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, loopback);
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Whether a local port accepts connections. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, loopback);
    const answer = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.on('connect', () => answer(true));
    socket.on('error', () => answer(false));
  });
}
