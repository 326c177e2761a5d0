import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type Environment, readEnvironment } from '../../config/environment.ts';
import { systemTimers, within } from '../../kit/clock.ts';
import type { Cleanup } from './cleanup.ts';

export interface Child {
  /** Throws, with the end of its output, when it runs no more. */
  assertRunning(): void;
  /** Resolves with its exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

export interface Command {
  /** What it is, for messages: "Prosody". */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Environment;
  /** Where its output goes. */
  readonly logFile: string;
  /** Which signal asks it to end; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** How long it may take to end, ms, before it is killed. */
  readonly patienceMs?: number;
}

/**
 * Starts a program that ends with the demo. It has a process group of its own: Ctrl-C is for the demo alone, which then
 * ends its children in order.
 */
export function startChild(command: Command, cleanup: Cleanup): Child {
  const { name, program, args, env = readEnvironment(), logFile, stopSignal = 'SIGTERM', patienceMs = 10_000 } = command;
  const output = openSync(logFile, 'a', 0o600);
  const child = spawn(program, args, { stdio: ['ignore', output, output], detached: true, env });
  closeSync(output); // the child has its own
  let startError = '';
  child.on('error', (error) => {
    startError = error.message;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));

  async function stop(): Promise<void> {
    if (!runs(child)) return;
    child.kill(stopSignal);
    if (!(await within(ended, patienceMs, systemTimers))) killGroup(child);
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

/** With whatever it has started itself. */
function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined && runs(child)) process.kill(-child.pid, 'SIGKILL');
}

/** The last lines of a log, for an error's message. */
export function tail(file: string, lines = 12): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}
