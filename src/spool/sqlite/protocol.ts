/**
 * What crosses between the main thread and the spool's thread. Rows travel as tuples of primitives: they cost half of
 * what objects cost to clone, because names need not be written.
 */
import type { Body, DeliveryId, PacketId } from '../../../pools/contract.ts';
import type { EpochMs } from '../../kit/clock.ts';
import type { ErrorCode } from '../../kit/errors.ts';
import type { Mark } from '../../packet/receipt.ts';
import type { AttemptRecord, DeadLetter, Fate, StillBorn } from '../spool.ts';

/** A delivery, in the order of its columns; `target` is JSON text. */
export type Row = readonly [
  id: DeliveryId,
  packetId: PacketId,
  host: string,
  handler: string,
  pool: string,
  lane: string | null,
  sender: string,
  receiver: string,
  seenAt: EpochMs,
  createdAt: EpochMs,
  target: string,
  body: Body,
];

export type ClaimedRow = readonly [seq: number, attempts: number, failingSince: EpochMs | null, ...row: Row];

/** A dead letter as it lies on disk: `target`, `history` are JSON text. */
export interface DeadRow {
  readonly letter: DeadLetter;
  readonly target: string | null;
  readonly body: Body | null;
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
}

/** One command; all commands of a batch are one transaction. */
export type Command =
  | readonly [kind: 'append', rows: readonly Row[], take: readonly boolean[], stillBorn: readonly StillBorn[], mark: Mark | undefined]
  | readonly [kind: 'claim', pool: string, limit: number, bytes: number, now: EpochMs]
  | readonly [kind: 'dead-letter', id: DeliveryId]
  | readonly [kind: 'dead-letters', page: DeadPage]
  /** The fate of nearly all: no attempt to keep, nothing to spawn. */
  | readonly [kind: 'delivered', seq: number, claimNext: boolean]
  | readonly [kind: 'find-dead' | 'find-owed', host: string, bareJid: string, after: number]
  | readonly [kind: 'marks']
  | readonly [kind: 'purge', diedBefore: EpochMs]
  | readonly [kind: 'settle', seq: number, fate: Fate, attempt: AttemptRecord | undefined, spawn: readonly Row[], claimNext: boolean];

export interface DeadPage {
  readonly limit: number;
  readonly pool: string | undefined;
  readonly handler: string | undefined;
  /** Where the page before ended. */
  readonly after: DeadCursor;
}

export type DeadCursor = readonly [diedAt: EpochMs, nr: number];

export type CommandKind = Command[0];

/** What each command is answered with. `more` says where to go on, undefined: that was all. */
export interface Answers {
  /** By row: its `seq` where it was claimed, else 0. A lone row's number stands bare: nearly all entries have one. */
  readonly append: number | readonly number[];
  readonly claim: readonly [claimed: readonly ClaimedRow[], nextAt: EpochMs | undefined];
  readonly 'dead-letter': DeadRow | undefined;
  readonly 'dead-letters': { readonly letters: readonly DeadLetter[]; readonly more: DeadCursor | undefined };
  readonly delivered: Settled;
  readonly 'find-dead': Found;
  readonly 'find-owed': Found;
  readonly marks: readonly Mark[];
  /** How many were removed, and whether there may be more. */
  readonly purge: { readonly removed: number; readonly more: boolean };
  readonly settle: Settled;
}

export type Answer = Answers[CommandKind];

export interface Found {
  readonly ids: readonly DeliveryId[];
  readonly more: number | undefined;
}

/** Null: there is nothing to tell. */
export type Settled = readonly [next: ClaimedRow | undefined, readyPools: readonly string[]] | 'unclaimed' | null;

export type Depth = readonly [pool: string, waiting: number, dead: number];

export type ToSpoolThread =
  | {
      readonly kind: 'batch';
      readonly commands: readonly Command[];
      /** Once a second: look after the file and say how old the oldest are. */
      readonly beat: boolean;
      /** When it was sent: what dies in it died then. */
      readonly now: EpochMs;
    }
  | { readonly kind: 'close' };

export type FromSpoolThread =
  | { readonly kind: 'opened'; readonly depths: readonly Depth[]; readonly bytes: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }
  | ({ readonly kind: 'committed' } & Committed);

export interface Committed {
  /** In the order of the commands; what stands for an undone command means nothing. */
  readonly answers: readonly (Answer | undefined)[];
  /** Commands (by index) that found no room and are to be sent again. */
  readonly undone: readonly number[];
  /** Counters that changed. */
  readonly depths: readonly Depth[];
  /** By pool; undefined where nobody asked. */
  readonly oldest: Readonly<Record<string, EpochMs>> | undefined;
  readonly bytes: number;
  /** Why intake is closed; empty while it is open. */
  readonly closed: string;
  readonly durationMs: number;
}

/** What the thread must know to open the spool. */
export interface Opening {
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
}
