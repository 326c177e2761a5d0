/**
 * The spool's port: what every engine keeps on its promise. One conformance suite (`test/conformance/spool.ts`) holds
 * all engines to this text.
 *
 * A delivery is in one of three places. *Ready*: it may be claimed once `notBefore` has come. *Claimed*: handed to this
 * process; claims die with the process, so after a restart what was claimed is ready again. *Waiting*: an earlier
 * delivery of its lane is not settled yet. `append` and `settle` promote the lane's next; nothing else does.
 */
import type { Body, DeliveryId, HttpTarget, Outcome, PacketId } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import type { Lifecycle } from '../kit/lifecycle.ts';
import type { Mark } from '../packet/receipt.ts';

/** What a delivery is for. The engines keep it as it is and never look inside: a new kind needs no new schema. */
export type Target = HttpTarget;

/** A delivery as it is handed to the spool. */
export interface NewDelivery {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  /** Deliveries of one lane are claimed one after the other; null: it waits for nobody. */
  readonly lane: string | null;
  /** Bare JIDs, so that a person's rows can be found. */
  readonly sender: string;
  readonly receiver: string;
  readonly target: Target;
  readonly body: Body;
  /** When the stanza was seen. */
  readonly seenAt: EpochMs;
  /** When it was accepted. */
  readonly createdAt: EpochMs;
}

/** A delivery that is in this process's hands until it is settled. */
export interface Claimed extends NewDelivery {
  /** Its place in the spool; later is larger. Names the row in `settle`. */
  readonly seq: number;
  /** Attempts already spent. */
  readonly attempts: number;
  /** When its first attempt failed; undefined before. Decides when it leaves its lane (`hold`). */
  readonly failingSince: EpochMs | undefined;
}

/** Why a delivery was given up. Stands alphabetically. */
export type DeadReason = 'attempts-exhausted' | 'callback-blocked' | 'callback-failed' | 'expired' | 'refused';

/** One attempt as it is kept with a delivery that has failed at least once. */
export interface AttemptRecord {
  /** 1 for the first. */
  readonly number: number;
  readonly at: EpochMs;
  readonly outcome: Outcome;
}

/** A dead letter that never was a delivery: its callbacks did not make one. Kept with the raw packet. */
export interface StillBorn {
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

/** What one packet leaves behind, committed as a whole. */
export interface Entry {
  readonly deliveries: readonly NewDelivery[];
  readonly deadLetters: readonly StillBorn[];
  readonly mark: Mark | undefined;
  /**
   * Whether the caller would take each delivery at once (same order as `deliveries`): a delivery whose lane is free and
   * whose flag is true is claimed in the same commit and never passes through the ready index.
   */
  readonly claim: readonly boolean[];
}

/** The fate of a claimed delivery. */
export type Fate =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly detail: string }
  /** To be tried again at `notBefore`; with `leaveLane` it goes on beside its lane, which moves on. */
  | { readonly kind: 'retry'; readonly notBefore: EpochMs; readonly leaveLane: boolean }
  /** Nothing was tried (its thread died): ready again as it was. */
  | { readonly kind: 'released' };

export interface Settlement {
  readonly seq: number;
  readonly fate: Fate;
  /** The attempt behind it; undefined where none was spent. Kept only when the delivery lives on or dies. */
  readonly attempt: AttemptRecord | undefined;
  /** Deliveries that come of it, in the same transaction. */
  readonly spawn: readonly NewDelivery[];
  /** The caller would take the lane's next at once. */
  readonly claimNext: boolean;
}

export interface DeadLetter {
  readonly id: DeliveryId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly reason: DeadReason;
  readonly detail: string;
  /** Status of the last answer; null where there was none. */
  readonly status: number | null;
  readonly attempts: number;
  readonly createdAt: EpochMs;
  readonly diedAt: EpochMs;
  readonly sender: string;
  readonly receiver: string;
}

/** What an operator sees of a dead letter on asking for one. */
export interface DeadLetterDetail extends DeadLetter {
  readonly target: Target | null;
  readonly body: Body | null;
  /** The raw packet (JSON text) of one that never became a delivery. */
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
}

/** Kept counters, never counted on request. */
export interface PoolDepth {
  readonly pool: string;
  /** Ready, claimed or waiting: everything owed. */
  readonly waiting: number;
  readonly dead: number;
}

export interface SpoolStats {
  readonly depths: readonly PoolDepth[];
  /** Bytes of the spool on disk (0 for memory). */
  readonly bytes: number;
  /** False while intake is refused; `reason` says why. */
  readonly writable: boolean;
  readonly reason: string;
  /** When the oldest delivery still owed was accepted, by pool; absent for an empty pool. Up to a second old. */
  readonly oldest: Readonly<Record<string, EpochMs>>;
}

export interface Spool extends Lifecycle {
  /**
   * Commits one packet's leavings; resolves when they are durable, with what was claimed. Calls are committed in the
   * order in which they were made. While the spool is full the promise waits (nothing is lost, nothing acknowledged);
   * it rejects with SPOOL_FAILED only when the engine is gone.
   */
  append(entry: Entry): Promise<readonly Claimed[]>;

  /**
   * Claims ready deliveries of a pool, earliest first: up to `limit`, and no more once their bodies exceed `bytes` (one is
   * always given). `nextAt`: when the next one is due, if any is left.
   */
  claim(
    pool: string,
    wanted: { readonly limit: number; readonly bytes: number; readonly now: EpochMs },
  ): Promise<{ readonly claimed: readonly Claimed[]; readonly nextAt: EpochMs | undefined }>;

  /**
   * Settles a claimed delivery; resolves when durable, with the lane's next if `claimNext` asked for it. `readyPools`
   * names pools that gained ready deliveries nobody holds: the dispatcher should claim.
   */
  settle(settlement: Settlement): Promise<{ readonly next: Claimed | undefined; readonly readyPools: readonly string[] }>;

  /** All marks, for the sources at their start. */
  marks(): Promise<readonly Mark[]>;

  /** Dead letters, oldest first. */
  deadLetters(filter: { readonly limit: number; readonly pool?: string; readonly handler?: string }): Promise<readonly DeadLetter[]>;
  deadLetter(id: DeliveryId): Promise<DeadLetterDetail | undefined>;

  /** Rows (deliveries and dead letters) that name a bare JID of a host as sender or receiver: what an erasure would take. */
  findByJid(host: string, bareJid: string): Promise<readonly DeliveryId[]>;

  /** Removes dead letters that died before `diedBefore`; gives how many. */
  purgeDead(diedBefore: EpochMs): Promise<number>;

  /** The engine's last word, without asking it. */
  stats(): SpoolStats;
}
