/**
 * Follow-ups: a response can order a further request (`callback`), whose response can order the next, and messages to users
 * (`payload`). Each order is a delivery of its own, stored in the transaction that settles the answered delivery, so that a crash
 * neither loses nor repeats it. The disposition of the answered delivery does not depend on them.
 */
import type { FollowUpConfig } from '../../config/config.ts';
import type { Claimed, DeliveryId, NewDelivery, Target } from '../../model/delivery.ts';
import type { Disposition } from '../../spool/spool.ts';
import type { EventSink, IgnoredReason } from '../../telemetry/events.ts';
import { type ConcludedAttempt, type Follow, nothingSpawned } from '../attempt.ts';
import { messagePool, orderPool } from '../policy.ts';
import { readOrders, readPayload, readRequest } from './read-orders.ts';

interface FollowUpOptions {
  /** The follow-up settings of a handler; undefined if it has none, or does not exist. */
  readonly configOf: (handler: string) => FollowUpConfig | undefined;
  /** The prepared bare JID of a text, as the events of packets have it: by it, an operator finds and erases the messages of a user. */
  readonly bareOf: (jid: string) => string;
  readonly events: EventSink;
}

export function createFollowUp({ configOf, bareOf, events }: FollowUpOptions): Follow {
  return (concluded) => {
    const { attempt, disposition } = concluded;
    const { id, pool, handler, target } = attempt.delivery;
    if (disposition.kind === 'dead' && target.purpose?.kind === 'order')
      return Promise.resolve({ disposition: chainFailed(disposition), ...nothingSpawned });
    const config = target.purpose?.kind === 'ask' ? undefined : configOf(handler);
    if (config === undefined || disposition.kind !== 'delivered') return undefined;
    const ignore = (reason: IgnoredReason) => events.emit('answer.ignored', { id, pool, handler, reason });
    const spawn = ordersIn(concluded, { config, bareOf, ignore });
    return spawn.length === 0 ? undefined : Promise.resolve({ disposition, spawn, failedPackets: [] });
  };
}

/** A chain fails if the response to its request is not 200 or 201, for any reason. */
function chainFailed(disposition: Extract<Disposition, { kind: 'dead' }>): Disposition {
  return disposition.reason === 'expired' ? disposition : { ...disposition, reason: 'chain-failed' };
}

interface Reading extends Pick<FollowUpOptions, 'bareOf'> {
  readonly config: FollowUpConfig;
  readonly ignore: (reason: IgnoredReason) => void;
}

/** The orders in a response: first the request, then the messages in their order. Their ids have the same order. */
function ordersIn({ attempt, outcome, at }: ConcludedAttempt, reading: Reading): NewDelivery[] {
  const { config, ignore } = reading;
  if (outcome.kind !== 'answered' || outcome.body === undefined) return [];
  const { delivery } = attempt;
  const orders = readOrders(outcome.body);
  if (orders === undefined || orders === 'too-deep') {
    if (outcome.truncated) ignore('truncated');
    else if (orders === 'too-deep') ignore('too-deep');
    return [];
  }

  const requests = orders.callback === undefined ? [] : [requestOf(orders.callback, delivery, config)];
  const messages = orders.payload === undefined ? [] : messagesOf(orders.payload, delivery, reading);
  const { id, packetId, facts, host, handler, sender, seenAt } = delivery;
  return [...requests, ...messages].map((order, index) => ({
    ...{ packetId, facts, host, handler, sender, seenAt, createdAt: at },
    ...order,
    id: `${id}.${index + 1}` as DeliveryId,
  }));
}

type Order = Pick<NewDelivery, 'body' | 'lane' | 'pool' | 'receiver' | 'target'>;

function requestOf(callback: unknown, parent: Claimed, { maxDepth }: FollowUpConfig): Order {
  const { method, path, headers, origin, body, fault } = readRequest(callback);
  const depth = depthOf(parent.target) + 1;
  const why = depth > maxDepth ? `the chain is longer than max_depth (${maxDepth})` : fault;
  const purpose = { kind: 'order', origin, depth, ...(why === undefined ? {} : { fault: why }) } as const;
  const target = { kind: 'http', method, path, headers, purpose } as const;
  return { pool: orderPool, lane: null, target, body, receiver: parent.receiver };
}

function depthOf({ purpose }: Target): number {
  return purpose?.kind === 'order' ? purpose.depth : 0;
}

function messagesOf(payload: unknown, parent: Claimed, { config, bareOf, ignore }: Reading): Order[] {
  const { replyFrom, defaultHost = parent.host } = config;
  const read = readPayload(payload, { replyFrom, defaultHost });
  if (read.kind === 'messages')
    return read.messages.map(({ target, text }) => ({ ...addressOf(parent, bareOf(target.to)), pool: messagePool, target, body: text }));
  ignore(read.reason);
  return [];
}

/** The messages of a handler to one user share a lane, so that they arrive in the order of their orders. */
function addressOf(parent: Claimed, receiver: string): Pick<Order, 'lane' | 'receiver'> {
  return { lane: `${parent.handler} > ${receiver}`, receiver };
}
