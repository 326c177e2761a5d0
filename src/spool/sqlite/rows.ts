import type { Claimed, ContextVariables, NewDelivery, RequestPurpose, Target } from '../../model/delivery.ts';
import type { DeadLetterDetail } from '../dead-letter.ts';
import type { ClaimedRow, DeadRow, Row } from './protocol.ts';

/** Shared by all that have none. */
const noContext: ContextVariables = Object.freeze({});

/** A delivery as it travels to the thread. */
export function rowOf(delivery: NewDelivery): Row {
  const { id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body } = delivery;
  return [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, encodeTarget(target), body];
}

/** Written out, for a spread of so many fields costs ten times as much. */
export function newlyClaimed(delivery: NewDelivery, seq: number): Claimed {
  const { id, packetId, host, handler, pool, lane, sender, receiver, target, body, seenAt, createdAt } = delivery;
  const attempts = 0;
  const failingSince = undefined;
  const context = noContext;
  return {
    id,
    packetId,
    host,
    handler,
    pool,
    lane,
    sender,
    receiver,
    target,
    body,
    seenAt,
    createdAt,
    seq,
    attempts,
    failingSince,
    context,
  };
}

/** A row that the thread read, as its claimer sees it. */
export function claimedOf(row: ClaimedRow): Claimed {
  const [
    seq,
    attempts,
    ,
    failingSince,
    context,
    id,
    packetId,
    host,
    handler,
    pool,
    lane,
    sender,
    receiver,
    seenAt,
    createdAt,
    target,
    body,
  ] = row;
  const born = { id, packetId, host, handler, pool, lane, sender, receiver, target: parseTarget(target), body, seenAt, createdAt };
  return { ...born, seq, attempts, failingSince: failingSince ?? undefined, context: context === null ? noContext : parseContext(context) };
}

export function detailOf({ letter, target, body, packet, history }: DeadRow): DeadLetterDetail {
  return { ...letter, target: target === null ? null : parseTarget(target), body, packet, history };
}

/** A target as it is stored: `purpose` is stored under the name `errand`. */
type StoredTarget = Target & { readonly errand?: RequestPurpose };

function encodeTarget(target: Target): string {
  if (target.purpose === undefined) return JSON.stringify(target);
  const { purpose, ...rest } = target;
  return JSON.stringify({ ...rest, errand: purpose });
}

function parseTarget(text: string): Target {
  const target = JSON.parse(text) as StoredTarget; // written by `encodeTarget` alone
  if (target.kind === 'xmpp' || target.errand === undefined) return target;
  const { errand, ...rest } = target;
  return { ...rest, purpose: errand };
}

function parseContext(text: string): ContextVariables {
  return JSON.parse(text) as ContextVariables; // a disposition's, as the thread wrote it
}
