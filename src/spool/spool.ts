/**
 * The spool's port: what every engine keeps on its promise. One conformance suite (`test/conformance/spool.ts`) holds
 * all engines to this text.
 *
 * A delivery is in one of three places. *Ready*: it may be claimed once `notBefore` has come. *Claimed*: handed to this
 * process; claims die with the process, so after a restart what was claimed is ready again. *Waiting*: an earlier
 * delivery of its lane is not settled yet. Whatever ends or moves the head of a lane promotes the lane's next.
 *
 * Deliveries of one pool and one handler make up a *queue*: the dispatcher claims from the queues that it may serve now,
 * and those of a handler or pool that is no longer configured simply stay.
 */

import type { EpochMs } from '../kit/clock.ts';
import type { Lifecycle } from '../kit/lifecycle.ts';
import type { AttemptRecord, DeadReason } from '../model/attempt.ts';
import type { Claimed, ContextVariables, DeliveryId, NewDelivery, QueueName } from '../model/delivery.ts';
import type { Mark } from '../model/packet.ts';
import type { DeletionReason } from '../telemetry/events.ts';
import type { DeadFilter, DeadLetter, DeadLetterDetail, FailedPacket } from './dead-letter.ts';

/** What one packet leaves behind, committed as a whole. */
export interface Entry {
  readonly deliveries: readonly NewDelivery[];
  readonly deadLetters: readonly FailedPacket[];
  readonly mark: Mark | undefined;
  /**
   * Whether the caller would take each delivery at once (same order as `deliveries`): a delivery whose lane is free and
   * whose flag is true is claimed in the same commit and never passes through the ready index.
   */
  readonly claim: readonly boolean[];
  /** Deliveries that are dead letters from the first, since their pool's backlog is full. */
  readonly refused: readonly Refused[];
  /** A dead letter (the newest of this id) that ends with this entry: it was replayed, and this is what came of it. */
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
  /** To be tried again at `notBefore`; with `leaveLane` it goes on beside its lane, which moves on. `context` replaces the one before. */
  | { readonly kind: 'retry'; readonly notBefore: EpochMs; readonly leaveLane: boolean; readonly context: ContextVariables }
  /** Nothing was tried (its thread died, its pool went): ready again as it was. */
  | { readonly kind: 'released' };

export interface Settlement {
  readonly seq: number;
  readonly disposition: Disposition;
  /** The attempt behind it; undefined where none was spent. Kept only when the delivery lives on or dies. */
  readonly attempt: AttemptRecord | undefined;
  /** Deliveries that come of it, in the same transaction. */
  readonly spawn: readonly NewDelivery[];
  /** Dead letters that come of it: callbacks did not make deliveries of what was answered. */
  readonly failedPackets: readonly FailedPacket[];
  /** The caller would take the lane's next at once. */
  readonly claimNext: boolean;
}

/** Kept counters of one queue, never counted on request. */
export interface QueueDepth extends QueueName {
  /** Ready, claimed or waiting: everything owed. */
  readonly waiting: number;
  readonly dead: number;
}

export type Shed = { readonly shed: readonly QueueName[]; readonly readyPools: readonly string[] };
export type Replayed = { readonly replayed: number; readonly failedPackets: number; readonly readyPools: readonly string[] };

export interface SpoolStats {
  readonly depths: readonly QueueDepth[];
  /** Pools that an operator has paused. */
  readonly paused: readonly string[];
  /** Bytes of the spool on disk (0 for memory). */
  readonly bytes: number;
  /** False while intake is refused; `reason` says why. */
  readonly writable: boolean;
  readonly reason: string;
  /** When the oldest delivery still owed was accepted, by pool, whatever its handler; absent for an empty pool. Up to a second old. */
  readonly oldest: Readonly<Record<string, EpochMs>>;
  /** Time until intake is refused because the spool is full, at the recent rate; 0 while it is full, undefined while the spool does not grow. */
  readonly fullInMs: number | undefined;
  /** Why the last commits may be lost, as found at the start; empty if none are missing. */
  readonly loss: string;
}

/** What a claim asks for. */
export interface ClaimRequest {
  /** The handlers whose queues may be served now. */
  readonly handlers: readonly string[];
  readonly limit: number;
  readonly bytes: number;
  readonly now: EpochMs;
}

/** A delivery that came of another, and is still here. */
export interface Descendant {
  readonly id: DeliveryId;
  readonly state: 'dead' | 'owed';
}

export interface Spool extends Lifecycle {
  /**
   * Commits one packet's leavings; resolves when they are durable, with what was claimed. Calls are committed in the
   * order in which they were made. While the spool is full the promise waits (nothing is lost, nothing acknowledged);
   * it rejects with SPOOL_FAILED only when the engine is gone, with SPOOL_ROW_REFUSED when the engine does not take a value of
   * this entry: then nothing of it is stored, and other calls are not concerned. The same holds for `settle`.
   */
  append(entry: Entry): Promise<readonly Claimed[]>;

  /**
   * Claims ready deliveries of a pool's handlers, earliest first, up to `limit`, and no more once their bodies exceed `bytes`
   * (one is always given). While deliveries without an attempt are ready, retries get at most half of `limit`, and what
   * either kind leaves the other has. `nextAt`: when the next of these queues is due, if any is left.
   */
  claim(pool: string, wanted: ClaimRequest): Promise<{ readonly claimed: readonly Claimed[]; readonly nextAt: EpochMs | undefined }>;

  /**
   * Settles a claimed delivery; resolves when durable, with the lane's next if `claimNext` asked for it. `readyPools`
   * names pools that gained ready deliveries nobody holds: the dispatcher should claim.
   */
  settle(settlement: Settlement): Promise<{ readonly next: Claimed | undefined; readonly readyPools: readonly string[] }>;

  /** All marks, for the sources at their start. */
  marks(): Promise<readonly Mark[]>;

  /** Dead letters, oldest first; with `newest` the last `limit` of them, still oldest first. */
  deadLetters(filter: DeadFilter, page: { readonly limit: number; readonly newest?: boolean }): Promise<readonly DeadLetter[]>;
  /** The newest dead letter of this id. */
  deadLetter(id: DeliveryId): Promise<DeadLetterDetail | undefined>;
  countDead(filter: DeadFilter): Promise<number>;

  /**
   * Makes up to `limit` dead letters, oldest first, deliveries again: same id, at the tail of their lane, attempts counted from
   * 1 with the history kept, accepted `now`. Those among them that never were deliveries are left alone and counted as
   * `failedPackets`, beside the limit: their packets must meet the hooks again, which `revives` settles. Each is moved in one
   * transaction with its new row; what dies again meanwhile is left alone too.
   */
  replay(filter: DeadFilter, how: { readonly limit: number; readonly now: EpochMs }): Promise<Replayed>;

  /** Deletes dead letters permanently, some in each transaction; returns their number. `reason` is for the event `spool.deleted`, default `purge`. */
  purgeDead(filter: DeadFilter, reason?: DeletionReason): Promise<number>;

  /**
   * Makes up to `count` deliveries of a pool that nobody has claimed dead letters, `overflow`, roughly the oldest first: heads
   * of lanes go, and their lanes move on. Gives what has died; fewer when the rest is claimed.
   */
  shed(pool: string, count: number, detail: string): Promise<Shed>;

  /** Gives the deliveries of a queue that nobody has claimed to another, whose pool should claim; gives how many. They keep ids, lanes, attempts. */
  moveQueue(from: QueueName, to: QueueName): Promise<number>;
  /** Deletes the unclaimed deliveries of a queue permanently, as `orphan-purge`; returns their number. */
  purgeQueue(queue: QueueName): Promise<number>;

  /** Remembers, also over restarts, that an operator has paused a pool or let it go on; `stats` shows it. */
  setPaused(pool: string, paused: boolean): Promise<void>;

  /** What came of a delivery, and of that, and so on: its id and a dot is what their ids begin with. */
  descendants(id: DeliveryId): Promise<readonly Descendant[]>;

  /** Rows (deliveries and dead letters) that name a bare JID of a host as sender or receiver: what an erasure would take. */
  findByJid(host: string, bareJid: string): Promise<readonly DeliveryId[]>;

  /** The engine's last word, without asking it. */
  stats(): SpoolStats;
}
