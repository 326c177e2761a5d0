import { type DestinationStream, destination as fileDestination, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino';
import type { EventBus } from './events.ts';
import { logAttachments } from './log-attachments.ts';
import { type DeliveryLogOptions, errorOf, logDeliveries, positionsIn } from './log-deliveries.ts';

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** Destination of the lines; standard output by default. */
  readonly destination?: DestinationStream;
  /** Hides secrets in log output; called with each field and each message. */
  readonly redact?: (value: unknown) => unknown;
}

/**
 * Creates the log: one JSON object per line, with `level` as a word, `time` in RFC 3339, `service`, `event` (the event's name) and
 * `msg`. Lines are written synchronously and in order, also from worker threads, so that the last lines before a crash are not
 * lost. Frequent events are logged at debug level, so this is cheap in normal operation.
 */
export function createLog({ level, destination = fileDestination({ fd: 1, sync: true }), redact = (value) => value }: LogOptions): Logger {
  return pino(
    {
      level,
      base: { service: 'xmpp-event-pusher' },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        logMethod(given, method) {
          const [fields, ...words] = given;
          method.apply(this, [redact(fields), ...words.map(redact)] as typeof given); // redaction changes only texts
        },
      },
    },
    destination,
  );
}

/**
 * Logs events. No line contains a message body: the excerpt of a response and the text of an error from a callback may quote one,
 * so they stay in the dead letter and out of the log.
 */
export function subscribeLog(events: EventBus, log: Logger, { jids }: DeliveryLogOptions = { jids: false }): void {
  logAttachments(events, log);
  logDeliveries(events, log, { jids });
  logGate(events, log);
  logListeners(events, log);
  logSpool(events, log);
  logReloads(events, log);
  events.on('rejection.stray', ({ error }) => {
    const fields = { event: 'rejection.stray', error: error.name, at: positionsIn(error) };
    log.error(fields, 'unhandled promise rejection in a callback module');
  });
  events.on('notice', ({ text, level }) => log[level ?? 'info']({ event: 'notice' }, text));
  const always = log.child({}, { level: 'info' }); // scripts wait for this line, whatever the level
  events.on('ready', ({ admin }) => always.info({ event: 'ready', admin }, 'ready'));
}

/** The first rejected question is logged, and the first after each valid one, because each message of a user can cause one. */
function logGate(events: EventBus, log: Logger): void {
  let rejecting = false;
  events.on('gate.answered', ({ answer, reason }) => {
    if (answer === 'rejected' && !rejecting) log.error({ event: 'gate.answered', answer }, `the gate rejected a question: ${reason}`);
    rejecting = answer === 'rejected';
  });
  events.on('gate.failed', ({ handler, packetId, error }) => {
    const fields = { event: 'gate.failed', handler, packetId, ...errorOf(error) };
    log.error(fields, `the gate of handler ${handler} failed; the chat server applies its on_failure to the message`);
  });
}

function logListeners(events: EventBus, log: Logger): void {
  events.on('connection.refused', ({ listener, reason, count }) => {
    const cause = refusals[reason] ?? 'the system could not accept them';
    log.warn({ event: 'connection.refused', listener, reason, count }, `${listener} refused ${count} connections: ${cause}`);
  });
  events.on('request.failed', ({ listener, error }) => {
    const fields = { event: 'request.failed', listener, error: error.name, at: positionsIn(error) };
    log.error(fields, `a request to ${listener} failed because of a fault of the service and was answered with 500`);
  });
}

const refusals: Readonly<Record<string, string>> = {
  'max-connections': 'the limit by max_connections and open files is reached',
  'open-files': 'this process has reached its limit of open files; raise it (ulimit -n, LimitNOFILE)',
};

function logSpool(events: EventBus, log: Logger): void {
  events.on('spool.loss', ({ reason }) => log.error({ event: 'spool.loss' }, reason));
  events.on('spool.writable', ({ writable, reason }) => {
    if (writable) log.info({ event: 'spool.writable', writable }, 'the spool is writable again');
    else log.error({ event: 'spool.writable', writable, reason }, `intake stopped: ${reason}`);
  });
}

function logReloads(events: EventBus, log: Logger): void {
  events.on('config.reload', ({ result, reason }) => {
    const fields = { event: 'config.reload', result };
    switch (result) {
      case 'applied':
        return log.info(fields, `the new configuration is in use: ${reason}`);
      case 'refused':
        return log.error(fields, `the new configuration was refused and the old one stays in use: ${reason}`);
      case 'restart':
        return log.info(fields, `the service restarts for changes that a running service cannot apply: ${reason}`);
      default:
        return result satisfies never;
    }
  });
}
