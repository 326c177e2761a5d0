/** Deliveries that were given up, as the spool keeps them until they are replayed, purged, or too old. */

import type { EpochMs } from '../kit/clock.ts';
import type { AttemptRecord, DeadReason } from '../model/attempt.ts';
import type { Body, DeliveryId, HttpTarget, XmppTarget } from '../model/delivery.ts';
import type { PacketId } from '../model/packet.ts';

/** A dead letter that never was a delivery: its callbacks did not make one. Kept with the raw packet. */
export interface FailedPacket {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly sender: string;
  readonly receiver: string;
  readonly reason: DeadReason;
  /** What went wrong, for the operator. */
  readonly detail: string;
  /** The packet as JSON text, from which a replay runs the hooks again. */
  readonly packet: string;
  readonly seenAt: EpochMs;
  readonly createdAt: EpochMs;
}

/** Which dead letters are meant: every given key must hold, `ids` means any of them; nothing given means all. */
export interface DeadFilter {
  readonly ids?: readonly DeliveryId[];
  readonly pool?: string;
  readonly handler?: string;
  readonly host?: string;
  readonly reason?: DeadReason;
  /** Died before, at or after. */
  readonly diedBefore?: EpochMs;
  readonly diedSince?: EpochMs;
}

export interface DeadLetter {
  readonly id: DeliveryId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly reason: DeadReason;
  readonly detail: string;
  /** Status that the last attempt with one came to: the callbacks' where they gave one, else the answer's. Null: there was none. */
  readonly status: number | null;
  /** All in its history, those before a replay too. */
  readonly attempts: number;
  readonly createdAt: EpochMs;
  readonly diedAt: EpochMs;
  readonly sender: string;
  readonly receiver: string;
}

/** What an operator sees of a dead letter on asking for one. */
export interface DeadLetterDetail extends DeadLetter {
  readonly target: HttpTarget | XmppTarget | null;
  readonly body: Body | null;
  /** The raw packet (JSON text) of one that never became a delivery. */
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
}

/** The number of dead letters of each queue. */
export function countByQueue<Q extends QueueKey>(items: Iterable<Q>): readonly (QueueKey & { readonly count: number })[] {
  const counts = new Map<string, QueueKey & { count: number }>();
  for (const { pool, handler } of items) {
    const key = `${pool}\n${handler}`;
    const counted = counts.get(key) ?? { pool, handler, count: 0 };
    counted.count += 1;
    counts.set(key, counted);
  }
  return [...counts.values()];
}

interface QueueKey {
  readonly pool: string;
  readonly handler: string;
}

/** Whether every key that the filter gives holds for this dead letter. */
export function createDeadTest({ ids, pool, handler, host, reason, diedBefore, diedSince }: DeadFilter): (letter: DeadLetter) => boolean {
  const wanted = ids && new Set(ids);
  return (letter) =>
    (wanted === undefined || wanted.has(letter.id)) &&
    (pool === undefined || letter.pool === pool) &&
    (handler === undefined || letter.handler === handler) &&
    (host === undefined || letter.host === host) &&
    (reason === undefined || letter.reason === reason) &&
    (diedBefore === undefined || letter.diedAt < diedBefore) &&
    (diedSince === undefined || letter.diedAt >= diedSince);
}
