/**
 * The spool's port. One conformance suite (`test/conformance/spool.ts`) checks all engines against this text.
 *
 * A delivery is in one of three states. *Ready*: it may be claimed from its `notBefore` on. *Claimed*: handed to this process.
 * *Waiting*: an earlier delivery of its lane is not settled yet. The claimed deliveries of a lane are its first ones; the caller sends
 * them one after the other. When no claimed one is left in a lane, or its ready head is shed or purged, the next one is promoted. Claims end
 * with the process: after a restart the first delivery of each lane is ready, and the others wait.
 *
 * The calls of `append`, `claim` and `settle` are answered in the order in which they were executed. They take a completion, which may be
 * called before they return if the spool has failed or is not running.
 *
 * Deliveries of one pool and one handler form a *queue*. The dispatcher claims from the queues that it may serve now; queues of
 * a handler or pool that is no longer configured are kept.
 */

import type { EpochMs } from '../kit/clock.ts';
import type { Completion } from '../kit/completion.ts';
import type { Lifecycle } from '../kit/lifecycle.ts';
import type { AttemptRecord, DeadReason } from '../model/attempt.ts';
import type { Body, Claimed, ContextVariables, DeliveryId, NewDelivery, QueueName, Target } from '../model/delivery.ts';
import type { Mark, PacketFacts, PacketId } from '../model/packet.ts';
import type { DeletionReason } from '../telemetry/events.ts';

/** The deliveries, dead letters and mark of one packet, committed as a whole. */
export interface Entry {
  readonly deliveries: readonly NewDelivery[];
  readonly deadLetters: readonly FailedPacket[];
  readonly mark: Mark | undefined;
  /**
   * Whether the caller can take each delivery at once (same order as `deliveries`): a delivery whose flag is true is claimed in the same
   * commit, and never enters the ready index, if its lane is free or holds only claimed deliveries of the same queue.
   */
  readonly claim: readonly boolean[];
  /** Deliveries stored as dead letters, because their pool's backlog is full. */
  readonly refused: readonly Refused[];
  /** The newest dead letter of this id is removed, because this entry is the result of its replay. */
  readonly revives: DeliveryId | undefined;
}

export interface Refused {
  readonly delivery: NewDelivery;
  readonly reason: DeadReason;
  readonly detail: string;
}

/** The disposition of a claimed delivery. */
export type Disposition =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly detail: string }
  /** To be tried again at `notBefore`; with `leaveLane` it leaves its lane, whose next delivery is promoted. `context` replaces the previous one. */
  | { readonly kind: 'retry'; readonly notBefore: EpochMs; readonly leaveLane: boolean; readonly context: ContextVariables }
  /** No attempt was made (its thread died, its pool was removed): ready again, unchanged. */
  | { readonly kind: 'released' };

export interface Settlement {
  readonly seq: number;
  /** The delivery itself, for extensions that record settlements; the engine does not need it. */
  readonly delivery?: Claimed;
  readonly disposition: Disposition;
  /** The attempt; undefined if none was made. Stored only for a retry or a dead letter. */
  readonly attempt: AttemptRecord | undefined;
  /** Deliveries that the response creates, stored in the same transaction. */
  readonly spawn: readonly NewDelivery[];
  /** Dead letters of callbacks that failed to make deliveries of the response. */
  readonly failedPackets: readonly FailedPacket[];
  /** Number of further deliveries of the lane that the caller can take at once, if they are of the same queue. */
  readonly claimNext: number;
}

/** `readyPools`: pools that gained ready deliveries, from which the dispatcher should claim. */
export interface Settled {
  /** The next deliveries of the lane, claimed, in order. */
  readonly next: readonly Claimed[];
  readonly readyPools: readonly string[];
}

/** Counters of one queue, maintained with each change. */
export interface QueueDepth extends QueueName {
  /** Ready, claimed and waiting deliveries. */
  readonly waiting: number;
  readonly dead: number;
}

export type Shed = { readonly shed: readonly QueueName[]; readonly readyPools: readonly string[] };
export type Replayed = { readonly replayed: number; readonly failedPackets: number; readonly readyPools: readonly string[] };

export interface SpoolStats {
  readonly depths: readonly QueueDepth[];
  /** Pools and handlers (`pool/handler`) that an operator has paused. */
  readonly paused: readonly string[];
  /** Size of the spool on disk, measured once a second (0 for memory). */
  readonly bytes: number;
  /** False while intake is refused, for `reason`. */
  readonly writable: boolean;
  readonly reason: string;
  /** When the oldest pending delivery of each pool was accepted; absent for an empty pool. Up to a second old. */
  readonly oldest: ReadonlyMap<string, EpochMs>;
  /** Time until intake is refused because the spool is full, at the recent rate; 0 while it is full, undefined while the spool does not grow. */
  readonly fullInMs: number | undefined;
  /** Why the last commits may be lost, as found at the start; empty if none are missing. */
  readonly loss: string;
}

/** `nextAt`: when the next delivery of the requested queues is due, if there is one. */
export interface ClaimResult {
  readonly claimed: readonly Claimed[];
  readonly nextAt: EpochMs | undefined;
}

export interface ClaimRequest {
  /** The handlers whose queues may be served now. */
  readonly handlers: readonly string[];
  readonly limit: number;
  readonly bytes: number;
  readonly now: EpochMs;
}

export interface Spool extends Lifecycle {
  /**
   * Commits one entry; done when it is durable, with the claimed deliveries. Calls are committed in the order in which they
   * were made. While the spool is full, the call stays open: nothing is lost and nothing is acknowledged. It fails with
   * SPOOL_FAILED only if the engine has failed, and with SPOOL_ROW_REFUSED if the engine refuses a value of this entry; then nothing
   * of the entry is stored, and other calls are not affected. It throws if a value cannot be encoded. The same holds for `settle`.
   */
  append(entry: Entry, completion: Completion<readonly Claimed[]>): void;

  /**
   * Claims ready deliveries of a pool's handlers, earliest first, up to `limit`, and stops when their bodies exceed `bytes` (the
   * first is always claimed). While deliveries without an attempt are ready, retries get at most half of `limit`; a share that one
   * kind does not use goes to the other.
   */
  claim(pool: string, request: ClaimRequest, completion: Completion<ClaimResult>): void;

  /**
   * Settles a claimed delivery; done when durable, with the next deliveries of its lane, at most `claimNext`, if no claimed one is
   * left in it. A delivery that is released or retried in its lane returns to its place there: the claims of all later deliveries of the
   * lane end with its own. The release of a delivery whose claim has ended in this way has no effect.
   */
  settle(settlement: Settlement, completion: Completion<Settled>): void;

  /** All marks; read by the sources at their start. */
  marks(): Promise<readonly Mark[]>;

  /** Dead letters, oldest first; with `newest` the last `limit` of them, in the same order. */
  deadLetters(filter: DeadFilter, page: { readonly limit: number; readonly newest?: boolean }): Promise<readonly DeadLetter[]>;
  /** The newest dead letter of this id. */
  deadLetter(id: DeliveryId): Promise<DeadLetterDetail | undefined>;
  countDead(filter: DeadFilter): Promise<number>;

  /**
   * Makes up to `limit` dead letters, oldest first, deliveries again: same id, at the tail of their lane, attempts counted from
   * 1 with the history kept, accepted `now`. Dead letters of failed packets are skipped and counted as `failedPackets`, outside the
   * limit: their packets must be evaluated by the hooks again, and `revives` then removes the dead letter. Each row moves in one
   * transaction; a delivery that dies again during the replay is skipped.
   */
  replay(filter: DeadFilter, how: { readonly limit: number; readonly now: EpochMs }): Promise<Replayed>;

  /** Deletes dead letters permanently, in several transactions; returns their number. `reason` (default `purge`) is that of the event `spool.deleted`. */
  purgeDead(filter: DeadFilter, reason?: DeletionReason): Promise<number>;

  /**
   * Makes up to `count` unclaimed deliveries of a pool dead letters with reason `overflow`, roughly the oldest first: heads of lanes
   * die, and the next of their lanes are promoted. Returns the queue of each; fewer than `count` if the rest is claimed.
   */
  shed(pool: string, count: number, detail: string): Promise<Shed>;

  /** Moves the unclaimed deliveries of a queue to another one, with their ids, lanes and attempts; returns their number. */
  moveQueue(from: QueueName, to: QueueName): Promise<number>;
  /** Deletes the unclaimed deliveries of a queue permanently, as `orphan-purge`; returns their number. */
  purgeQueue(queue: QueueName): Promise<number>;

  /** Stores durably whether an operator has paused a pool, or `pool/handler`; `stats` shows it. */
  setPaused(name: string, paused: boolean): Promise<void>;

  /** Runs a command of an extension inside a transaction of the engine; the extension's own file declares request and answer. */
  extend(request: ExtensionRequest): Promise<unknown>;

  /** The statistics that the engine last reported; does not ask it. */
  stats(): SpoolStats;
}

/** A command of an extension, by its name. */
export interface ExtensionRequest {
  readonly extension: string;
}

/** Dead letters: deliveries that were given up, stored until they are replayed, purged or too old. */

/** A dead letter without a delivery, because the callbacks failed to make one. Stored with the raw packet. */
export interface FailedPacket {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly facts: PacketFacts | undefined;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly sender: string;
  readonly receiver: string;
  readonly reason: DeadReason;
  /** Description of the error, for the operator. */
  readonly detail: string;
  /** The packet as JSON text, from which a replay runs the hooks again. */
  readonly packet: string;
  readonly seenAt: EpochMs;
  readonly createdAt: EpochMs;
}

/** Selects dead letters: all given keys must match, `ids` matches any of its members; an empty filter matches all. */
export interface DeadFilter {
  readonly ids?: readonly DeliveryId[];
  readonly pool?: string;
  readonly handler?: string;
  readonly host?: string;
  readonly reason?: DeadReason;
  readonly detail?: string;
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
  /** Status of the last attempt that has one: that of the callbacks if they set one, otherwise that of the response. Null if there is none. */
  readonly status: number | null;
  /** All attempts in its history, including those before a replay. */
  readonly attempts: number;
  readonly createdAt: EpochMs;
  readonly diedAt: EpochMs;
  readonly sender: string;
  readonly receiver: string;
}

/** A dead letter with its content. */
export interface DeadLetterDetail extends DeadLetter {
  readonly target: Target | null;
  readonly body: Body | null;
  /** The raw packet (JSON text) of a failed packet; null for a delivery. */
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
}

/** The number of retries among `limit` claims: at most half while enough first attempts are due, and the whole rest otherwise. */
export function retryShare(limit: number, due: { readonly fresh: number; readonly retries: number }): number {
  return Math.min(due.retries, Math.max(Math.floor(limit / 2), limit - due.fresh));
}

/** Counts items by queue. */
export function countByQueue(items: Iterable<QueueName>): readonly (QueueName & { readonly count: number })[] {
  const counts = new Map<string, QueueName & { count: number }>();
  for (const { pool, handler } of items) {
    const key = `${pool}\n${handler}`;
    const counted = counts.get(key) ?? { pool, handler, count: 0 };
    counted.count += 1;
    counts.set(key, counted);
  }
  return [...counts.values()];
}
