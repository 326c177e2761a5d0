import { type DestinationStream, destination as fileDestination, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino';
import type { EpochMs } from '../kit/clock.ts';
import { asError } from '../kit/errors.ts';
import { maxJsonDepth } from '../kit/json.ts';
import type { EventBus, Events, IgnoredReason } from './events.ts';
import { logAttachments } from './log-attachments.ts';
import { logAsks, logGuards } from './log-deliveries.ts';

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

/**
 * Writes what an operator wants to read of the events. No line holds a message body: the excerpt of an answer and the
 * text of an error that a callback threw may quote one, so both stay in the dead letter and out of the log.
 */
export function subscribeLog(events: EventBus, log: Logger): void {
  logAttachments(events, log);
  logAttempts(events, log);
  logAsks(events, log);
  logAnswers(events, log);
  logCallbacks(events, log);
  logGate(events, log);
  logListeners(events, log);
  logStrays(events, log);
  logSpool(events, log);
  logThreads(events, log);
  logGuards(events, log);
  logReloads(events, log);
  events.on('notice', ({ text, level }) => log[level ?? 'info']({ event: 'notice' }, text));
  // Whatever the level: scripts wait for this line.
  const always = log.child({}, { level: 'info' });
  events.on('ready', ({ admin }) => always.info({ event: 'ready', admin }, 'ready'));
}

/**
 * One line an attempt: debug when it was accepted, warn when it will be tried again, error when the delivery is dead. What a
 * question came to is told when its answer has been read.
 */
function logAttempts(events: EventBus, log: Logger): void {
  events.on('attempt.ended', (attempt) => {
    if (attempt.purpose === 'ask') log.debug(describe(attempt), 'question put to a business server');
    else if (!attempt.accepted) {
      if (attempt.nextAt === undefined) log.error(describe(attempt), deaths[attempt.died ?? ''] ?? 'delivery is dead: its attempt failed');
      else log.warn(describe(attempt), 'attempt failed, delivery will be tried again');
    } else if (log.isLevelEnabled('debug')) log.debug(describe(attempt), 'attempt accepted');
  });
  events.on('delivery.left-lane', ({ id, pool, handler }) => {
    log.warn({ event: 'delivery.left-lane', id, pool, handler }, 'delivery keeps failing, later ones of its conversation go ahead of it');
  });
}

/** By the reason of the dead letter. */
const deaths: Readonly<Record<string, string>> = {
  'attempts-exhausted': 'delivery is dead: its last attempt failed',
  expired: 'delivery is dead: its attempt failed and it is too old for another',
  refused: 'delivery is dead: the backend refused it for good',
};

function describe({ id, pool, handler, host, attempt, attemptsAllowed, outcome, judgement, nextAt, died }: Events['attempt.ended']) {
  const met = { ...describeOutcome(outcome), ...describeJudgement(judgement) };
  const then = nextAt === undefined ? { died } : { nextAt: rfc3339(nextAt) };
  return { event: 'attempt.ended', id, pool, handler, host, attempt, attemptsAllowed, ...met, ...then };
}

/** The context and the detail hold what a module wants to have logged; a detail of ours may hold what a callback threw. */
function describeJudgement(judgement: Events['attempt.ended']['judgement']) {
  if (judgement === undefined) return {};
  const { verdict, status, detail, origin, context } = judgement;
  return { judgement: { verdict, status, ...(origin === 'internal' ? {} : { detail }), origin, context } };
}

function describeOutcome(outcome: Events['attempt.ended']['outcome']) {
  const { kind, durationMs } = outcome;
  switch (kind) {
    case 'answered':
      return { outcome: kind, status: outcome.status, durationMs };
    case 'refused':
    case 'sent':
      return { outcome: kind, durationMs }; // why it was refused may quote the receiver
    case 'timed-out':
      return { outcome: kind, phase: outcome.phase, durationMs };
    case 'broken':
    case 'unreachable':
      return { outcome: kind, code: outcome.code, reason: outcome.message, durationMs };
    case 'unsent':
      return { outcome: kind, code: outcome.code, durationMs }; // its message may quote what a callback worked on
    default:
      return kind satisfies never;
  }
}

/** A backend that says that it failed is heard; what it wrote beside stays in its answer. */
function logAnswers(events: EventBus, log: Logger): void {
  events.on('answer.ignored', ({ id, pool, handler, reason }) => {
    log.warn({ event: 'answer.ignored', id, pool, handler, reason }, ignored[reason]);
  });
}

const ignored: Readonly<Record<IgnoredReason, string>> = {
  declined: 'the answer says that it was no success: no message of it is sent',
  malformed: 'the payload of the answer is none: nothing of it is sent',
  'too-deep': `the JSON of the answer is nested deeper than ${maxJsonDepth} levels; its orders are ignored`,
  truncated: 'the answer is longer than max_response_size: what it orders is not read',
  'unknown-task': 'the payload of the answer has a task that is not known: nothing of it is sent',
};

function logCallbacks(events: EventBus, log: Logger): void {
  events.on('callback.failed', ({ handler, callback, packetId, error }) => {
    const thrown = asError(error.cause) ?? error;
    log.error(
      { event: 'callback.failed', handler, callback, packetId, error: thrown.name, at: placesIn(thrown) },
      `callback ${callback} of handler ${handler} failed; the packet became a dead letter, which says why`,
    );
  });
  events.on('exit.failed', ({ attachment, descriptor, by, text, error }) => {
    const thrown = asError(error?.cause) ?? error;
    const told = { event: 'exit.failed', attachment, descriptor, by };
    const ended = `a request to descriptor ${descriptor} of attachment ${attachment} was ended: ${text}`;
    if (thrown === undefined) log.warn(told, ended);
    else log.error({ ...told, error: thrown.name, at: placesIn(thrown) }, ended);
  });
}

/** A question that is none is told once, until there is a proper one: each message of a user may be one. */
function logGate(events: EventBus, log: Logger): void {
  let rejecting = false;
  events.on('gate.answered', ({ answer, reason }) => {
    const told = { event: 'gate.answered', answer };
    if (answer === 'rejected' && !rejecting) log.error(told, `the gate cannot answer a question: ${reason}`);
    rejecting = answer === 'rejected';
  });
  events.on('gate.failed', ({ handler, packetId, error }) => {
    const thrown = asError(error.cause) ?? error;
    const told = { event: 'gate.failed', handler, packetId, error: thrown.name, at: placesIn(thrown) };
    log.error(told, `the gate of handler ${handler} failed; the chat server does with the message what its on_failure says`);
  });
}

/** The first places of a stack without the message above them, which may quote what the callback worked on. */
function placesIn({ message, stack = '' }: Error): readonly string[] {
  const afterMessage = stack.slice(stack.indexOf(message) + message.length);
  const places = afterMessage.split('\n').filter((line) => line.startsWith('    at '));
  return places.slice(0, 4).map((line) => line.slice('    at '.length));
}

function logListeners(events: EventBus, log: Logger): void {
  events.on('connection.refused', ({ listener, reason, count }) => {
    const why = refusals[reason] ?? 'the system could not accept them';
    log.warn({ event: 'connection.refused', listener, reason, count }, `${listener} refused ${count} connections: ${why}`);
  });
  events.on('request.failed', ({ listener, error }) => {
    const told = { event: 'request.failed', listener, error: error.name, at: placesIn(error) };
    log.error(told, `a request to ${listener} failed because of a fault of the service and was answered with 500`);
  });
}

const refusals: Readonly<Record<string, string>> = {
  'max-connections': 'the limit by max_connections and open files is reached',
  'open-files': 'this process has reached its limit of open files; raise it (ulimit -n, LimitNOFILE)',
};

function logStrays(events: EventBus, log: Logger): void {
  events.on('rejection.stray', ({ error }) => {
    const told = { event: 'rejection.stray', error: error.name, at: placesIn(error) };
    log.error(told, 'a promise that nobody waits for was rejected: a callback module has left it behind');
  });
}

function logSpool(events: EventBus, log: Logger): void {
  events.on('spool.loss', ({ reason }) => log.error({ event: 'spool.loss' }, reason));
  events.on('spool.writable', ({ writable, reason }) => {
    if (writable) log.info({ event: 'spool.writable', writable }, 'spool takes deliveries in again');
    else log.error({ event: 'spool.writable', writable, reason }, `spool takes nothing in: ${reason}`);
  });
}

function logThreads(events: EventBus, log: Logger): void {
  events.on('pool.thread', ({ pool, state, reason }) => {
    if (state === 'died') log.error({ event: 'pool.thread', pool, state, reason }, `a thread of pool ${pool} died and is replaced`);
    else log.debug({ event: 'pool.thread', pool, state, reason }, `a thread of pool ${pool} ${state === 'up' ? 'is up' : 'started'}`);
  });
}

function logReloads(events: EventBus, log: Logger): void {
  events.on('config.reload', ({ result, reason }) => {
    const told = { event: 'config.reload', result };
    switch (result) {
      case 'applied':
        return log.info(told, `the new configuration runs: ${reason}`);
      case 'refused':
        return log.error(told, `the new configuration is refused and the old one stays: ${reason}`);
      case 'restart':
        return log.info(told, `the service is started anew for what it cannot change while it runs: ${reason}`);
      default:
        return result satisfies never;
    }
  });
}

function rfc3339(at: EpochMs): string {
  return new Date(at).toISOString();
}
