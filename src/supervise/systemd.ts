/**
 * Reports the state of the process to systemd (sd_notify(3)) if the unit has `Type=notify`. Node has no datagram sockets of the Unix
 * domain, so the program systemd-notify sends each message; its process is a child, which the unit must allow with `NotifyAccess=all`.
 */
import { spawn } from 'node:child_process';
import type { Timers } from '../kit/clock.ts';

interface NotifierOptions {
  /** `NOTIFY_SOCKET`: where systemd listens. `WATCHDOG_USEC`, `WATCHDOG_PID`: the watchdog that it keeps for this process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly timers: Timers;
  /** Resolves if the service responds. Only then is the watchdog fed. */
  readonly responds: () => Promise<void>;
  /** Called once if systemd cannot be informed. */
  readonly onFault: (reason: string) => void;
}

/** A child that has not ended by then is killed, ms. */
const sendTimeoutMs = 10_000;

export class SystemdNotifier {
  readonly #options: NotifierOptions;
  readonly #isEnabled: boolean;
  /** The last message; each is sent after the previous one, so that systemd sees them in order. */
  #sent: Promise<void> = Promise.resolve();
  #cancelWatchdog: () => void = () => undefined;
  #isStopped = false;
  #hasFaulted = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
    this.#isEnabled = (options.environment['NOTIFY_SOCKET'] ?? '') !== '';
  }

  /** The service has started: units that depend on it may start, and the watchdog begins. */
  ready(): Promise<void> {
    const sent = this.#send('READY=1');
    const everyMs = this.#watchdogMs();
    if (everyMs !== undefined) void this.#watch(everyMs / 2);
    return sent;
  }

  /** One line for `systemctl status`. */
  status(text: string): Promise<void> {
    return this.#send(`STATUS=${text.replaceAll(/\s+/g, ' ').slice(0, maxStatusLength)}`);
  }

  /** The process is about to end. The watchdog goes on until {@link stopped}. */
  stopping(): Promise<void> {
    return this.#send('STOPPING=1', 'STATUS=stopping: requests in flight finish');
  }

  /** Ends the watchdog. */
  stopped(): void {
    this.#isStopped = true;
    this.#cancelWatchdog();
  }

  /** systemd kills a process that has been silent for this time; undefined without a watchdog. */
  #watchdogMs(): number | undefined {
    const { environment, pid } = this.#options;
    const isOurs = environment['WATCHDOG_PID'] === undefined || Number(environment['WATCHDOG_PID']) === pid;
    const ms = Number(environment['WATCHDOG_USEC'] ?? 0) / 1000;
    return this.#isEnabled && isOurs && ms > 0 ? ms : undefined;
  }

  async #watch(everyMs: number): Promise<void> {
    await this.#options.responds();
    await this.#send('WATCHDOG=1');
    if (!this.#isStopped) this.#cancelWatchdog = this.#options.timers.after(everyMs, () => void this.#watch(everyMs));
  }

  #send(...assignments: readonly string[]): Promise<void> {
    if (!this.#isEnabled || this.#isStopped) return Promise.resolve();
    this.#sent = this.#sent.then(() => notify(assignments, this.#options.environment)).then((reason) => this.#report(reason));
    return this.#sent;
  }

  #report(reason: string): void {
    if (reason === '' || this.#hasFaulted) return;
    this.#hasFaulted = true;
    this.#options.onFault(reason);
  }
}

const maxStatusLength = 500;

/** Resolves with the reason of a failure, empty on success. */
function notify(assignments: readonly string[], env: NotifierOptions['environment']): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('systemd-notify', assignments, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: sendTimeoutMs });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, maxStatusLength);
    });
    child.once('error', (error) => resolve(`systemd-notify cannot be run: ${error.message}`));
    child.once('close', (code, signal) => resolve(code === 0 ? '' : `systemd-notify ended with ${code ?? signal}: ${said.trim()}`));
  });
}
