/**
 * Messages between the service thread and the spool thread. Rows travel as tuples of primitives: cloning a tuple costs half
 * of cloning an object, because no field names are written.
 */

import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord, DeadReason } from '../../model/attempt.ts';
import type { Body, Claimed, ContextVariables, DeliveryId, NewDelivery, QueueName, RequestPurpose, Target } from '../../model/delivery.ts';
import type { Mark, PacketFacts, PacketId } from '../../model/packet.ts';
import type { ClaimRequest, DeadFilter, DeadLetter, ExtensionRequest, FailedPacket, Replayed, Settlement, Shed } from '../spool.ts';

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
  facts: PacketFacts | null,
];

/** Positions in a {@link Row}. */
export const rowHandler = 3;
export const rowPool = 4;
export const rowBody = 11;

/** `past` counts attempts before a replay; `context` is JSON text. */
export type ClaimedRow = readonly [
  seq: number,
  attempts: number,
  past: number,
  failingSince: EpochMs | null,
  context: string | null,
  ...row: Row,
];

/** Positions in a {@link ClaimedRow}. */
export const claimedRowHandler = 8;
export const claimedRowPool = 9;
export const claimedRowBody = 16;

/** A delivery that is stored as a dead letter, because its pool's backlog is full. */
export type RefusedRow = readonly [row: Row, reason: DeadReason, detail: string];

/** A dead letter as stored; `target` is JSON text. */
export interface DeadRow {
  readonly letter: DeadLetter;
  readonly target: string | null;
  readonly body: Body | null;
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
}

/** One command; all commands of a batch run in one transaction. */
export type Command =
  | readonly [kind: 'append', ...EntryRows]
  /** An entry that refuses deliveries or replaces a dead letter, which is rare. */
  | readonly [kind: 'append-full', ...EntryRows, refused: readonly RefusedRow[], revives: DeliveryId | undefined]
  | readonly [kind: 'claim', pool: string, request: ClaimRequest]
  | readonly [kind: 'count-dead', filter: DeadFilter, after: DeadCursor]
  | readonly [kind: 'dead-letter', id: DeliveryId]
  | readonly [kind: 'dead-letters', page: DeadPage]
  /** The most frequent disposition: no attempt to store and nothing to spawn. */
  | readonly [kind: 'delivered', seq: number, claimNext: number]
  | readonly [kind: 'extend', request: ExtensionRequest]
  | readonly [kind: 'marks']
  | readonly [kind: 'move-queue', from: QueueName, to: QueueName, after: number]
  | readonly [kind: 'pause' | 'resume', pool: string]
  | readonly [kind: 'purge-dead', filter: DeadFilter, after: DeadCursor]
  | readonly [kind: 'purge-queue', queue: QueueName, after: number]
  | readonly [kind: 'replay', step: ReplayStep]
  | readonly [kind: 'settle', seq: number, settlement: SettlementRows]
  | readonly [kind: 'shed', pool: string, count: number, detail: string];

type CommandKind = Command[0];

/** The command of this kind. */
export type CommandOf<K extends CommandKind> = Extract<Command, readonly [K, ...unknown[]]>;

/** The part of an entry that every append has. `claim`: by row, whether to claim it if its lane is free. */
type EntryRows = readonly [rows: readonly Row[], claim: readonly boolean[], failedPackets: readonly FailedPacket[], mark: Mark | undefined];

/** A settlement as it travels to the thread. */
interface SettlementRows extends Pick<Settlement, 'attempt' | 'claimNext' | 'disposition' | 'failedPackets'> {
  readonly spawn: readonly Row[];
}

/** Appends need space on the disk, so they wait while intake is closed; their order is kept. */
export function isAppend([kind]: Command): boolean {
  return kind === 'append' || kind === 'append-full';
}

export interface DeadPage {
  readonly filter: DeadFilter;
  readonly limit: number;
  /** Newest first. */
  readonly backward: boolean;
  /** End of the previous page. */
  readonly after: DeadCursor;
}

/** Position of a dead letter in the order of death. */
export type DeadCursor = readonly [diedAt: EpochMs, nr: number];

/** Position before the oldest dead letter, and after the newest. */
export const beforeAll: DeadCursor = [Number.MIN_SAFE_INTEGER, 0];
export const afterAll: DeadCursor = [Number.MAX_SAFE_INTEGER, 0];

export interface ReplayStep {
  readonly filter: DeadFilter;
  readonly limit: number;
  readonly now: EpochMs;
  readonly after: DeadCursor;
  /** The newest dead letter at the start of the replay; deliveries that die again later are skipped. Undefined in the first step. */
  readonly last: DeadCursor | undefined;
}

/** The answer to each command. `more`: where the next chunk begins; undefined after the last one. */
export interface Answers {
  readonly append: ClaimedSeqs;
  readonly 'append-full': ClaimedSeqs;
  readonly claim: readonly [claimed: readonly ClaimedRow[], nextAt: EpochMs | undefined];
  readonly 'count-dead': Chunk<DeadCursor>;
  readonly 'dead-letter': DeadRow | undefined;
  readonly 'dead-letters': { readonly letters: readonly DeadLetter[]; readonly more: DeadCursor | undefined };
  readonly delivered: SettledRows;
  readonly extend: { readonly result: unknown };
  readonly marks: readonly Mark[];
  readonly 'move-queue': Chunk<number>;
  /** All paused pools. */
  readonly pause: readonly string[];
  readonly 'purge-dead': Purged;
  readonly 'purge-queue': Chunk<number>;
  readonly replay: ReplayedChunk;
  readonly resume: readonly string[];
  readonly settle: SettledRows;
  readonly shed: Shed & { readonly more: boolean };
}

export type Answer = Answers[CommandKind];

/** For each row its `seq` if it was claimed, otherwise 0. A single row, the usual case, has a bare number. */
export type ClaimedSeqs = number | readonly number[];

/** Progress of a long command after one transaction. */
export interface Chunk<Cursor> {
  readonly count: number;
  readonly more: Cursor | undefined;
}

export interface Purged {
  readonly deleted: readonly (QueueName & { readonly count: number })[];
  readonly more: DeadCursor | undefined;
}

export interface ReplayedChunk extends Replayed {
  readonly more: { readonly after: DeadCursor; readonly last: DeadCursor } | undefined;
}

/** Null if no delivery follows and no pool gained ready deliveries. */
export type SettledRows = readonly [next: readonly ClaimedRow[], readyPools: readonly string[]] | 'unclaimed' | null;

export type DepthRow = readonly [pool: string, handler: string, waiting: number, dead: number];

/** The commands of a batch, encoded by `batch-message.ts`. */
export interface BatchMessage {
  readonly values: readonly BatchValue[];
  /** The commands that are not among the values. */
  readonly others: readonly Command[];
}

export type BatchValue = Row[number] | boolean;

export type ToSpoolThread =
  | {
      readonly kind: 'batch';
      readonly commands: BatchMessage;
      /** For the journal of the thread; see {@link Journal}. */
      readonly records: string;
      /** True about once a second: maintain the file and report the age of the oldest deliveries. */
      readonly maintain: boolean;
      /** When the batch was sent; the time of death of what dies in it. */
      readonly now: EpochMs;
    }
  | { readonly kind: 'close'; readonly records: string };

/** Stores what an extension records of the settlements of a batch, before they are committed. Never throws. */
export interface Journal {
  write(records: string, now: EpochMs): void;
  maintain(now: EpochMs): void;
  close(): void;
}

export type CommittedReport = { readonly kind: 'committed' } & Committed;

/** State of the spool when it has been opened. */
export interface Opened {
  readonly depths: readonly DepthRow[];
  readonly paused: readonly string[];
  readonly bytes: number;
  /** Why the last commits may be lost; empty if none are missing. */
  readonly loss: string;
}

export interface Committed {
  /** In the order of the commands; undefined for a command that was not done. */
  readonly answers: readonly (Answer | undefined)[];
  /** Indexes of commands that must be sent again, in this order: they found no space, or wait for a refused one of their lane. */
  readonly undone: readonly number[];
  /** Commands of which nothing is stored, because SQLite refused a value. */
  readonly refused: readonly RefusedCommand[];
  /** Counters that changed. */
  readonly depths: readonly DepthRow[];
  /** When the oldest delivery was accepted, by pool; undefined if not requested. */
  readonly oldest: ReadonlyMap<string, EpochMs> | undefined;
  /** Size of the file and its log; undefined if not requested. */
  readonly bytes: number | undefined;
  /** Bytes that can be stored before intake closes; undefined if not requested or not limited. */
  readonly intakeBytes: number | undefined;
  /** Why intake is closed; empty while it is open. */
  readonly closed: string;
  readonly durationMs: number;
}

/** Index of a command, and the reason that SQLite gave. */
export type RefusedCommand = readonly [index: number, message: string];

/** Settings of the spool thread. */
export interface Opening {
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** Settings of the journal; undefined: there is none. */
  readonly journal?: object | undefined;
  /** Whether to check the whole file first, because it was found damaged earlier. */
  readonly check: boolean;
}

/** A delivery as it travels to the thread. `targetText`: its target as text. */
export function rowOf(delivery: NewDelivery, targetText = encodeTarget(delivery.target)): Row {
  const { id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, body, facts = null } = delivery;
  return [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, targetText, body, facts];
}

/** Targets and their texts. Deliveries of a built-in module share one target for each handler, which is kept with its text. */
export class TargetTexts {
  readonly #known = new Map<string, { readonly target: Target; readonly text: string }>();

  of({ handler, target }: NewDelivery): string {
    const known = this.#known.get(handler);
    return known?.target === target ? known.text : this.#keep(handler, target, encodeTarget(target)).text;
  }

  /** The target with this text: one object for all deliveries that share it. */
  read(handler: string, text: string): Target {
    const known = this.#known.get(handler);
    return known?.text === text ? known.target : this.#keep(handler, parseTarget(text), text).target;
  }

  #keep(handler: string, target: Target, text: string): { readonly target: Target; readonly text: string } {
    const known = { target, text };
    if (this.#known.size >= maxKeptTexts) this.#known.clear();
    if (text.length <= maxKeptLength) this.#known.set(handler, known);
    return known;
  }
}

/** Handlers may be added and removed for as long as the service runs, and a target may contain a stanza. */
const [maxKeptTexts, maxKeptLength] = [1000, 1000];

/** The part of a claimed delivery that attempts change. */
type Progress = Pick<Claimed, 'attempts' | 'context' | 'failingSince' | 'seq'>;

/** Shared by all deliveries without context variables. */
const noContext: ContextVariables = Object.freeze({});

export function newlyClaimed(delivery: NewDelivery, seq: number): Claimed {
  return claimedWith(delivery, { seq, attempts: 0, failingSince: undefined, context: noContext });
}

/** A claimed delivery from the row that the thread read. */
export function claimedOf(row: ClaimedRow, targets: TargetTexts): Claimed {
  const [seq, attempts, , failingSince, context, id, packetId, host, handler, pool, lane, sender, receiver, ...rest] = row;
  const [seenAt, createdAt, text, body, facts] = rest;
  const target = targets.read(handler, text);
  return claimedWith(
    { id, packetId, host, handler, pool, lane, sender, receiver, target, body, seenAt, createdAt, facts: facts ?? undefined },
    { seq, attempts, failingSince: failingSince ?? undefined, context: context === null ? noContext : parseContext(context) },
  );
}

/** Written out in full: a spread of this many fields costs ten times as much, and its object takes two kilobytes. */
function claimedWith(
  { id, packetId, host, handler, pool, lane, sender, receiver, target, body, seenAt, createdAt, facts }: NewDelivery,
  { seq, attempts, failingSince, context }: Progress,
): Claimed {
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
    facts,
    seq,
    attempts,
    failingSince,
    context,
  };
}

/** A target as it is stored: `purpose` is stored under the name `errand`. */
type StoredTarget = Target & { readonly errand?: RequestPurpose };

function encodeTarget(target: Target): string {
  if (target.purpose === undefined) return JSON.stringify(target);
  const { purpose, ...rest } = target;
  return JSON.stringify({ ...rest, errand: purpose });
}

export function parseTarget(text: string): Target {
  const target = JSON.parse(text) as StoredTarget; // written by `encodeTarget` alone
  if (target.kind === 'xmpp' || target.errand === undefined) return target;
  const { errand, ...rest } = target;
  return { ...rest, purpose: errand };
}

function parseContext(text: string): ContextVariables {
  return JSON.parse(text) as ContextVariables; // written by the thread from a disposition
}
