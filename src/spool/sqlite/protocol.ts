/**
 * What crosses between the main thread and the spool's thread. Rows travel as tuples of primitives: they cost half of
 * what objects cost to clone, because names need not be written.
 */

import type { EpochMs } from '../../kit/clock.ts';
import type { ErrorCode } from '../../kit/errors.ts';
import type { AttemptRecord, DeadReason } from '../../model/attempt.ts';
import type { Body, DeliveryId, QueueName } from '../../model/delivery.ts';
import type { Mark, PacketId } from '../../model/packet.ts';
import type { DeadFilter, DeadLetter, FailedPacket } from '../dead-letter.ts';
import type { ClaimRequest, Settlement } from '../spool.ts';

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

/** `past` counts attempts before a replay; `context` is JSON text. */
export type ClaimedRow = readonly [
  seq: number,
  attempts: number,
  past: number,
  failingSince: EpochMs | null,
  context: string | null,
  ...row: Row,
];

/** A delivery that is a dead letter from the first. */
export type RefusedRow = readonly [row: Row, reason: DeadReason, detail: string];

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
  | readonly [kind: 'append', ...Leavings]
  /** The few entries that refuse deliveries or revive a dead letter. */
  | readonly [kind: 'append-and-bury', ...Leavings, refused: readonly RefusedRow[], revives: DeliveryId | undefined]
  | readonly [kind: 'claim', pool: string, wanted: ClaimRequest]
  | readonly [kind: 'count-dead', filter: DeadFilter, after: DeadCursor]
  | readonly [kind: 'dead-letter', id: DeliveryId]
  | readonly [kind: 'dead-letters', page: DeadPage]
  /** The disposition of nearly all: no attempt to keep, nothing to spawn. */
  | readonly [kind: 'delivered', seq: number, claimNext: boolean]
  | readonly [kind: 'find-dead' | 'find-owed', sought: Sought, after: number]
  | readonly [kind: 'marks']
  | readonly [kind: 'move-queue', from: QueueName, to: QueueName, after: number]
  | readonly [kind: 'pause' | 'resume', pool: string]
  | readonly [kind: 'purge-dead', filter: DeadFilter, after: DeadCursor]
  | readonly [kind: 'purge-queue', queue: QueueName, after: number]
  | readonly [kind: 'replay', step: ReplayStep]
  | readonly [kind: 'settle', seq: number, ending: Ending]
  | readonly [kind: 'shed', pool: string, count: number, detail: string];

/** Rows that name a person of a host, or that what came of a delivery, and of that, and so on. */
export type Sought =
  | { readonly kind: 'descendants'; readonly of: DeliveryId }
  | { readonly kind: 'person'; readonly host: string; readonly bareJid: string };

/** The disposition of a claimed delivery, and what comes of it. */
export interface Ending extends Pick<Settlement, 'attempt' | 'claimNext' | 'disposition' | 'failedPackets'> {
  readonly spawn: readonly Row[];
}

/** What an entry leaves behind. */
type Leavings = readonly [rows: readonly Row[], take: readonly boolean[], failedPackets: readonly FailedPacket[], mark: Mark | undefined];

/** Whether it takes room on the disk, so that it waits while intake is closed; appends keep their order. */
export function isAppend([kind]: Command): boolean {
  return kind === 'append' || kind === 'append-and-bury';
}

export interface DeadPage {
  readonly filter: DeadFilter;
  readonly limit: number;
  /** Newest first. */
  readonly backward: boolean;
  /** Where the page before ended. */
  readonly after: DeadCursor;
}

/** A dead letter's place in the order of dying. */
export type DeadCursor = readonly [diedAt: EpochMs, nr: number];

/** Before the oldest, and after the newest. */
export const beforeAll: DeadCursor = [Number.MIN_SAFE_INTEGER, 0];
export const afterAll: DeadCursor = [Number.MAX_SAFE_INTEGER, 0];

export interface ReplayStep {
  readonly filter: DeadFilter;
  readonly limit: number;
  readonly now: EpochMs;
  readonly after: DeadCursor;
  /** The newest when the replay began: what dies again meanwhile is not its business. Undefined in the first step. */
  readonly last: DeadCursor | undefined;
}

export type CommandKind = Command[0];

/** What each command is answered with. `more` says where to go on, undefined: that was all. */
export interface Answers {
  readonly append: Seqs;
  readonly 'append-and-bury': Seqs;
  readonly claim: readonly [claimed: readonly ClaimedRow[], nextAt: EpochMs | undefined];
  readonly 'count-dead': Chunk<DeadCursor>;
  readonly 'dead-letter': DeadRow | undefined;
  readonly 'dead-letters': { readonly letters: readonly DeadLetter[]; readonly more: DeadCursor | undefined };
  readonly delivered: Settled;
  readonly 'find-dead': Found;
  readonly 'find-owed': Found;
  readonly marks: readonly Mark[];
  readonly 'move-queue': Chunk<number>;
  /** All pools that are paused now. */
  readonly pause: readonly string[];
  readonly 'purge-dead': Purged;
  readonly 'purge-queue': Chunk<number>;
  readonly replay: ReplayedChunk;
  readonly resume: readonly string[];
  readonly settle: Settled;
  readonly shed: { readonly shed: readonly QueueName[]; readonly readyPools: readonly string[]; readonly more: boolean };
}

export type Answer = Answers[CommandKind];

/** By row: its `seq` where it was claimed, else 0. A lone row's number stands bare: nearly all entries have one. */
export type Seqs = number | readonly number[];

/** What one transaction has done of something long. */
export interface Chunk<Cursor> {
  readonly count: number;
  readonly more: Cursor | undefined;
}

export interface Purged {
  readonly deleted: readonly (QueueName & { readonly count: number })[];
  readonly more: DeadCursor | undefined;
}

export interface ReplayedChunk {
  readonly replayed: number;
  readonly failedPackets: number;
  readonly readyPools: readonly string[];
  readonly more: { readonly after: DeadCursor; readonly last: DeadCursor } | undefined;
}

export interface Found {
  readonly ids: readonly DeliveryId[];
  readonly more: number | undefined;
}

/** Null: there is nothing to tell. */
export type Settled = readonly [next: ClaimedRow | undefined, readyPools: readonly string[]] | 'unclaimed' | null;

export type Depth = readonly [pool: string, handler: string, waiting: number, dead: number];

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
  | {
      readonly kind: 'opened';
      readonly depths: readonly Depth[];
      readonly paused: readonly string[];
      readonly bytes: number;
      readonly loss: string;
    }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }
  | ({ readonly kind: 'committed' } & Committed);

export interface Committed {
  /** In the order of the commands; what stands for an undone command means nothing. */
  readonly answers: readonly (Answer | undefined)[];
  /** Commands (by index) that found no room and are to be sent again. */
  readonly undone: readonly number[];
  /** Commands of which nothing is stored, since SQLite does not take one of their values. */
  readonly refused: readonly Refused[];
  /** Counters that changed. */
  readonly depths: readonly Depth[];
  /** By pool; undefined where nobody asked. */
  readonly oldest: Readonly<Record<string, EpochMs>> | undefined;
  readonly bytes: number;
  /** Bytes that may still be taken in; undefined if not requested. */
  readonly roomBytes: number | undefined;
  /** Why intake is closed; empty while it is open. */
  readonly closed: string;
  readonly durationMs: number;
}

/** The index of a command, and SQLite's reason. */
export type Refused = readonly [index: number, message: string];

/** What the thread must know to open the spool. */
export interface Opening {
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** Whether the whole file is checked first, because it was found damaged earlier. */
  readonly check: boolean;
}
