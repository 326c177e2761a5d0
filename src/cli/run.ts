import type { Logger } from 'pino';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadConfig, requireAttachment } from '../config/load.ts';
import { Redactor } from '../config/secrets.ts';
import { systemClock, systemTimers, within } from '../kit/clock.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { systemRandom } from '../kit/pacing.ts';
import { requireAddon } from '../spool/addon.ts';
import { Supervisor, type Trouble } from '../supervise/supervisor.ts';
import { SystemdNotifier } from '../supervise/systemd.ts';
import { createLog } from '../telemetry/log.ts';
import type { Call, Command } from './command.ts';

export const runCommand: Command = {
  name: 'run',
  synopsis: '[--config FILE]',
  description: 'runs the service until SIGTERM or SIGINT; SIGHUP reloads the file',
  options: ['config'],
  run,
};

/**
 * Runs the service in the foreground until a signal stops it. The first SIGTERM or SIGINT drains, the second ends the
 * process within a second, SIGHUP reloads the configuration file.
 */
async function run({ values }: Call): Promise<number> {
  requireAddon();
  const file = locateConfig(values.config, readEnvironment());
  const config = await loadConfig(file, readEnvironment());
  requireAttachment(config);
  const log = createLog({ level: config.logLevel, redact: new Redactor(config.redacted).value });
  const supervisor = new Supervisor({
    file,
    clock: systemClock,
    random: systemRandom,
    timers: systemTimers,
    onTrouble: (trouble) => {
      logTrouble(log, trouble);
      if (trouble.kind === 'failed') void systemd.status(`not running: ${trouble.message}`);
    },
    onConfigured: (level) => {
      log.level = level;
      void systemd.status('running');
    },
  });
  const systemd = new SystemdNotifier({
    environment: readEnvironment(),
    pid: process.pid,
    timers: systemTimers,
    responds: () => supervisor.responds(),
    onFault: (reason) => log.warn({ event: 'systemd', reason }, `systemd is not informed about the state of the service: ${reason}`),
  });
  const stopped = handleSignals(supervisor, systemd, log);
  await supervisor.start();
  void systemd.ready();
  return stopped.finally(() => systemd.stopped());
}

function handleSignals(supervisor: Supervisor, systemd: SystemdNotifier, log: Logger): Promise<number> {
  const stopped = createDeferred<number>();
  let signals = 0;

  function stop(signal: string): void {
    signals += 1;
    if (signals > 1) return void endNow(supervisor, log);
    log.info(
      { event: 'stopping', signal },
      'stopping: requests in flight finish, the rest stays on disk; a second signal stops immediately',
    );
    void systemd.stopping();
    supervisor.stop().then(() => stopped.resolve(0), stopped.reject);
  }

  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('SIGHUP', () => supervisor.reload());
  return stopped.promise;
}

/** Time for the threads to end before the process is killed, ms. */
const killTimeoutMs = 500;

/** `process.exit` waits for every thread, including one blocked in a system call; only a signal ends such a process. */
async function endNow(supervisor: Supervisor, log: Logger): Promise<void> {
  if (await within(supervisor.kill(), killTimeoutMs, systemTimers)) process.exit(1);
  log.error({ event: 'killed' }, 'a thread is blocked and does not end: killing the process with SIGKILL');
  process.kill(process.pid, 'SIGKILL');
}

function logTrouble(log: Logger, trouble: Trouble): void {
  switch (trouble.kind) {
    case 'blocked': {
      const { handler, packetKey, strikes, blockedMs } = trouble;
      return log.error(
        { event: 'callback.blocked', handler, packet: packetKey, strikes, blockedMs },
        `a callback of handler ${handler} blocks the service, which restarts (strike ${strikes} of 3 for this packet)`,
      );
    }
    case 'failed':
      return log.error(
        { event: 'service.failed', restartInMs: trouble.restartInMs },
        `the service failed and restarts: ${trouble.message}`,
      );
    default:
      return trouble satisfies never;
  }
}
