import { type DestinationStream, destination as fileDestination, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino';

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream;
  /** Hides secrets in log output; called with each field and each message. */
  readonly redact?: (value: unknown) => unknown;
}

/**
 * One JSON object a line: `level` as a word, `time` in RFC 3339, `service`, `event` (the event's name) and `msg`.
 *
 * Lines are written at once and in order, from worker threads too, so that the last words before a crash are never
 * lost; what happens for every delivery is logged at debug, so this costs nothing in a healthy run.
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
