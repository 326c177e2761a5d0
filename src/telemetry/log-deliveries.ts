/** Logs attempts, questions, callbacks and pools: everything between a packet and its backends. */
import type { Logger } from 'pino';
import type { EpochMs } from '../kit/clock.ts';
import { asError } from '../kit/errors.ts';
import { maxJsonDepth } from '../kit/json.ts';
import { readFacts } from '../model/facts.ts';
import type { DeliverySubject, EventBus, Events, IgnoredReason } from './events.ts';

export interface DeliveryLogOptions {
  /** Whether lines about deliveries name their users. */
  readonly jids: boolean;
}

export function logDeliveries(events: EventBus, log: Logger, options: DeliveryLogOptions): void {
  const identify = identification(log, options);
  logAttempts(events, log, identify);
  logSettlements(events, log, identify);
  logQuestions(events, log, identify);
  logCallbacks(events, log);
  logBreakers(events, log);
  logPools(events, log);
  logThreads(events, log);
}

type Identify = (delivery: Pick<DeliverySubject, 'facts' | 'id' | 'packetId' | 'receiver' | 'sender'>) => object;

/** At debug, the ids that connect a delivery with its packet, and with the stanza in the logs of chat servers and clients. */
function identification(log: Logger, { jids }: DeliveryLogOptions): Identify {
  return ({ facts, id, packetId, receiver, sender }) => ({
    ...(log.isLevelEnabled('debug') ? { packetId, messageId: readFacts(facts).messageId, deliveryId: id } : {}),
    ...(jids ? { sender, receiver } : {}),
  });
}

/**
 * One line for each attempt: debug if it was accepted, warn if there will be another, error if the delivery is dead. The result of
 * a question is logged when its answer has been read.
 */
function logAttempts(events: EventBus, log: Logger, identify: Identify): void {
  events.on('attempt.ended', (attempt) => {
    const { accepted, died = '', nextAt, purpose } = attempt;
    if ((accepted || purpose === 'ask') && !log.isLevelEnabled('debug')) return;
    const fields = { ...describe(attempt), ...identify(attempt) };
    if (purpose === 'ask') log.debug(fields, 'question sent to a business server');
    else if (accepted) log.debug(fields, 'attempt accepted');
    else if (nextAt === undefined) log.error(fields, deaths[died] ?? 'delivery is dead: its attempt failed');
    else log.warn(fields, 'attempt failed, delivery will be retried');
  });
  events.on('delivery.left-lane', ({ id, pool, handler }) => {
    log.warn({ event: 'delivery.left-lane', id, pool, handler }, 'delivery keeps failing; later ones of its conversation overtake it');
  });
  events.on('answer.ignored', ({ id, pool, handler, reason }) => {
    log.warn({ event: 'answer.ignored', id, pool, handler, reason }, ignored[reason]);
  });
}

/** At debug. With the lines of attempts, they show a stanza from its receipt to the end of each of its deliveries. */
function logSettlements(events: EventBus, log: Logger, identify: Identify): void {
  events.on('delivery.accepted', (delivery) => {
    if (!log.isLevelEnabled('debug')) return;
    const { id, pool, handler, host } = delivery;
    log.debug({ event: 'delivery.accepted', id, pool, handler, host, ...identify(delivery) }, 'delivery accepted');
  });
  events.on('delivery.settled', (delivery) => {
    if (!log.isLevelEnabled('debug')) return;
    const { id, pool, handler, host, disposition, ageMs } = delivery;
    log.debug({ event: 'delivery.settled', id, pool, handler, host, disposition, ageMs, ...identify(delivery) }, 'disposition stored');
  });
}

/** By the reason of the dead letter. */
const deaths: Readonly<Record<string, string>> = {
  'attempts-exhausted': 'delivery is dead: its last attempt failed',
  expired: 'delivery is dead: its attempt failed and it is too old for another',
  refused: 'delivery is dead: the backend refused it permanently',
};

const ignored: Readonly<Record<IgnoredReason, string>> = {
  declined: 'the answer reports no success: no message of it is sent',
  malformed: 'the payload of the answer is malformed: nothing of it is sent',
  'too-deep': `the JSON of the answer is nested deeper than ${maxJsonDepth} levels; its orders are ignored`,
  truncated: 'the answer is longer than max_response_size: its orders are ignored',
  'unknown-task': 'the payload of the answer has an unknown task: nothing of it is sent',
};

function describe({ id, pool, handler, host, attempt, attemptsAllowed, outcome, judgement, nextAt, died }: Events['attempt.ended']) {
  const result = { ...describeOutcome(outcome), ...describeJudgement(judgement) };
  const then = nextAt === undefined ? { died } : { nextAt: rfc3339(nextAt) };
  return { event: 'attempt.ended', id, pool, handler, host, attempt, attemptsAllowed, ...result, ...then };
}

/** Context and detail come from the module and are meant for the log; an internal detail may quote a callback's error. */
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
      return { outcome: kind, durationMs }; // the reason of a refusal may quote the receiver
    case 'timed-out':
      return { outcome: kind, phase: outcome.phase, durationMs };
    case 'broken':
    case 'unreachable':
      return { outcome: kind, code: outcome.code, reason: outcome.message, durationMs };
    case 'unsent':
      return { outcome: kind, code: outcome.code, durationMs }; // its message may quote data of a callback
    default:
      return kind satisfies never;
  }
}

/** By `operationID`. The texts of business servers are not logged, because they may quote messages. */
function logQuestions(events: EventBus, log: Logger, identify: Identify): void {
  events.on('ask.ended', ({ id: operationID, packetId, handler, host, result, reason, pushes }) => {
    const fields = { event: 'ask.ended', operationID, packetId, handler, host, result, reason, pushes };
    if (result === 'failed' && reason !== 'not-asked') log.warn(fields, `handler ${handler} got no valid answer to a question: ${reason}`);
    else log.debug(fields, 'question to a business server ended');
  });
  events.on('push.withheld', (push) => {
    const { id: operationID, packetId, handler, host, why, errCode } = push;
    const fields = { event: 'push.withheld', operationID, packetId, handler, host, why, errCode, ...identify(push) };
    log.info(fields, `handler ${handler} withholds a push: ${why}`);
  });
}

function logCallbacks(events: EventBus, log: Logger): void {
  events.on('callback.failed', ({ handler, callback, packetId, error }) => {
    log.error(
      { event: 'callback.failed', handler, callback, packetId, ...errorOf(error) },
      `callback ${callback} of handler ${handler} failed; the packet became a dead letter, which contains the reason`,
    );
  });
  events.on('delivery.callback-failed', ({ pool, handler, callback, id, at }) => {
    log.error(
      { event: 'delivery.callback-failed', pool, handler, callback, id, at },
      `callback ${callback} of handler ${handler} failed in a thread of pool ${pool}; the attempt's record contains the reason`,
    );
  });
  events.on('exit.failed', ({ attachment, descriptor, by, text, error }) => {
    const fields = { event: 'exit.failed', attachment, descriptor, by };
    const message = `a request to descriptor ${descriptor} of attachment ${attachment} was ended: ${text}`;
    if (error === undefined) log.warn(fields, message);
    else log.error({ ...fields, ...errorOf(error) }, message);
  });
}

/** Name and position of a callback's error, without its text. */
export function errorOf(error: Error): { readonly error: string; readonly at: readonly string[] } {
  const thrown = asError(error.cause) ?? error;
  return { error: thrown.name, at: positionsIn(thrown) };
}

/** The first positions of a stack, without the message above them, which may quote the callback's data. */
export function positionsIn({ message, stack = '' }: Error): readonly string[] {
  const afterMessage = stack.slice(stack.indexOf(message) + message.length);
  const positions = afterMessage.split('\n').filter((line) => line.startsWith('    at '));
  return positions.slice(0, 4).map((line) => line.slice('    at '.length));
}

function logBreakers(events: EventBus, log: Logger): void {
  events.on('breaker.state', ({ pool, handler, state, reason }) => {
    const subject = handler === '' ? `pool ${pool}` : `handler ${handler} on pool ${pool}`;
    const fields = { event: 'breaker.state', pool, ...(handler === '' ? {} : { handler }), state };
    if (state === 'open') log.error(fields, `circuit breaker of ${subject} opens: ${reason}`);
    else log.info(fields, `circuit breaker of ${subject} is ${state}: ${reason}`);
  });
}

function logPools(events: EventBus, log: Logger): void {
  events.on('handler.paused', ({ pool, handler, until }) => {
    const fields = { event: 'handler.paused', pool, handler, until: rfc3339(until) };
    log.warn(fields, `a backend answered 429: deliveries of handler ${handler} to pool ${pool} are paused`);
  });
  events.on('pool.paused', ({ pool, handler, paused }) => {
    const subject = handler === '' ? `pool ${pool}` : `handler ${handler} on pool ${pool}`;
    const fields = { event: 'pool.paused', pool, ...(handler === '' ? {} : { handler }), paused };
    log.warn(fields, `an operator ${paused ? 'paused' : 'resumed'} ${subject}`);
  });
  events.on('token.answered', ({ pool, lifetimeMs, reason }) => {
    if (reason !== '') log.warn({ event: 'token.answered', pool, reason }, `pool ${pool} got no access token: ${reason}`);
    else log.debug({ event: 'token.answered', pool, lifetimeMs }, `pool ${pool} got an access token`);
  });
  events.on('backlog.overflow', ({ pool, handler, policy, count }) => {
    const fields = { event: 'backlog.overflow', pool, handler, policy, count };
    if (policy === 'hold-intake') log.error(fields, `the backlog of pool ${pool} is full: intake of all pools waits`);
    else log.error(fields, `the backlog of pool ${pool} is full: ${count} deliveries of handler ${handler} became dead letters`);
  });
  events.on('pool.shortage', ({ pool, state, reason }) => {
    const fields = { event: 'pool.shortage', pool, state, reason };
    const shortage = `this machine has no free descriptor, port or memory for connections of pool ${pool} (see ulimit -n)`;
    if (state === 'began') log.error(fields, `${shortage}: the pool waits and uses up no attempts`);
    else if (state === 'ended') log.info(fields, `pool ${pool} can connect again`);
  });
}

function logThreads(events: EventBus, log: Logger): void {
  events.on('pool.thread', ({ pool, state, reason }) => {
    if (state === 'died') log.error({ event: 'pool.thread', pool, state, reason }, `a thread of pool ${pool} died and is replaced`);
    else log.debug({ event: 'pool.thread', pool, state, reason }, `a thread of pool ${pool} ${state === 'up' ? 'is up' : 'started'}`);
  });
}

function rfc3339(at: EpochMs): string {
  return new Date(at).toISOString();
}
