/**
 * What backends order in their answers: a further request (`callback`), whose own answer may order the next, and messages to
 * users (`payload`). Each becomes a delivery of its own, stored in the transaction that settles what was answered, so that a
 * crash loses neither and repeats neither. What was answered is settled whatever becomes of them.
 */

import type { FollowUpConfig } from '../../config/config.ts';
import type { Claimed, DeliveryId, NewDelivery, Target } from '../../model/delivery.ts';
import type { Disposition } from '../../spool/spool.ts';
import type { EventSink, IgnoredReason } from '../../telemetry/events.ts';
import type { Follow, FollowResult } from '../attempt.ts';
import { type ConcludedAttempt, nothingSpawned } from '../attempt.ts';
import { messagePool, orderPool } from '../policy.ts';
import { readAnswer } from './read-answer.ts';
import { readPayload } from './read-messages.ts';
import { readOrder } from './read-order.ts';

export interface FollowUpOptions {
  /** What the answers to a handler's pushes may order; undefined: nothing, or there is no such handler. */
  readonly configOf: (handler: string) => FollowUpConfig | undefined;
  readonly events: EventSink;
}

export function createFollowUp({ configOf, events }: FollowUpOptions): Follow {
  return (concluded) => {
    const { delivery } = concluded.attempt;
    if (concluded.disposition.kind === 'dead' && isOrder(delivery))
      return Promise.resolve({ disposition: broken(concluded.disposition), ...nothingSpawned });
    const config = delivery.target.purpose?.kind === 'ask' ? undefined : configOf(delivery.handler);
    if (config === undefined || concluded.disposition.kind !== 'delivered') return undefined;
    const children = childrenOf(concluded, config, (reason) => {
      const { id, pool, handler } = delivery;
      events.emit('answer.ignored', { id, pool, handler, reason });
    });
    if (children.length === 0) return undefined;
    return Promise.resolve({ disposition: concluded.disposition, spawn: children, failedPackets: [] } satisfies FollowResult);
  };
}

function isOrder({ target }: Claimed): boolean {
  return target.purpose?.kind === 'order';
}

/** A chain is broken where its request is not answered by 200 or 201, for whatever reason. */
function broken(disposition: Extract<Disposition, { kind: 'dead' }>): Disposition {
  return disposition.reason === 'expired' ? disposition : { ...disposition, reason: 'chain-failed' };
}

/** In the order of their ids: the request first, then the messages in theirs. */
function childrenOf(
  { attempt, outcome, at }: ConcludedAttempt,
  config: FollowUpConfig,
  ignore: (reason: IgnoredReason) => void,
): NewDelivery[] {
  if (outcome.kind !== 'answered' || outcome.body === undefined) return [];
  const { delivery } = attempt;
  const wishes = readAnswer(outcome.body);
  if (wishes === undefined || wishes === 'too-deep') {
    if (outcome.truncated) ignore('truncated');
    else if (wishes === 'too-deep') ignore('too-deep');
    return [];
  }

  const orders = wishes.callback === undefined ? [] : [orderOf(wishes.callback, delivery, config)];
  const messages = wishes.payload === undefined ? [] : messagesOf(wishes.payload);
  return [...orders, ...messages].map((child, index) => ({
    ...inherited(delivery),
    createdAt: at,
    ...child,
    id: childId(delivery, index),
  }));

  function messagesOf(payload: unknown): Child[] {
    const { replyFrom, defaultHost = delivery.host } = config;
    const read = readPayload(payload, { replyFrom, defaultHost });
    if (read.kind === 'messages') return read.messages.map(({ target, text }) => messageOf(delivery, target, text));
    ignore(read.reason);
    return [];
  }
}

type Child = Pick<NewDelivery, 'body' | 'lane' | 'pool' | 'receiver' | 'target'>;

function orderOf(callback: unknown, parent: Claimed, { maxDepth }: FollowUpConfig): Child {
  const { method, path, headers, origin, body, fault } = readOrder(callback);
  const depth = depthOf(parent.target) + 1;
  const why = depth > maxDepth ? `the chain is longer than max_depth (${maxDepth})` : fault;
  const purpose = { kind: 'order', origin, depth, ...(why === undefined ? {} : { fault: why }) } as const;
  const target = { kind: 'http', method, path, headers, purpose } as const;
  return { pool: orderPool, lane: null, target, body, receiver: parent.receiver };
}

function depthOf({ purpose }: Target): number {
  return purpose?.kind === 'order' ? purpose.depth : 0;
}

/** What a handler says to one user arrives in the order in which it was ordered. */
function messageOf(parent: Claimed, target: Extract<Target, { kind: 'xmpp' }>, text: string): Child {
  const [bare = ''] = target.to.split('/');
  return { pool: messagePool, lane: `${parent.handler} > ${bare}`, target, body: text, receiver: bare };
}

function inherited({
  packetId,
  host,
  handler,
  sender,
  seenAt,
}: Claimed): Pick<NewDelivery, 'handler' | 'host' | 'packetId' | 'seenAt' | 'sender'> {
  return { packetId, host, handler, sender, seenAt };
}

function childId({ id }: Claimed, index: number): DeliveryId {
  return `${id}.${index + 1}` as DeliveryId;
}
