/**
 * A record of the history: one attempt or the end of a delivery, as one line of JSON text. Lines begin and end at known bytes, so a search
 * finds a JID or an id in the bytes and parses only the lines around it.
 */
import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord, Outcome } from '../../model/attempt.ts';
import type { Body, Claimed, DeliveryId } from '../../model/delivery.ts';
import type { ReadFacts } from '../../model/facts.ts';
import type { PacketFacts, PacketId } from '../../model/packet.ts';
import type { Settlement } from '../spool.ts';

/** State after the record. `waiting`: the attempt failed, and another one follows. */
export type RecordedState = 'dead' | 'delivered' | 'dropped' | 'waiting' | 'withheld';

export interface HistoryRecord {
  readonly at: EpochMs;
  readonly state: RecordedState;
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly facts: PacketFacts | null;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly sender: string;
  readonly receiver: string;
  readonly seenAt: EpochMs;
  readonly createdAt: EpochMs;
  /** Reason of a death or of a withheld push, otherwise empty. */
  readonly reason: string;
  readonly attempt: RecordedAttempt | null;
  /** Ids of the deliveries that the response created. */
  readonly created: readonly string[];
  /** Only if bodies are recorded. */
  readonly body: string | null;
}

/** `text`: phase of a timeout, or name of an error; empty for a response. */
export interface RecordedAttempt {
  readonly number: number;
  readonly at: EpochMs;
  readonly kind: Outcome['kind'];
  readonly status: number | null;
  readonly durationMs: number;
  readonly text: string;
}

/** The span that is really held: it is shorter than `max_age` if `max_bytes` or the disk did not allow more. */
export interface HistorySpan {
  /** Time of the oldest record; null if there is none. */
  readonly since: EpochMs | null;
  readonly bytes: number;
}

type Line = readonly [
  at: EpochMs,
  state: RecordedState,
  id: DeliveryId,
  packetId: PacketId,
  facts: PacketFacts | null,
  host: string,
  handler: string,
  pool: string,
  sender: string,
  receiver: string,
  seenAt: EpochMs,
  createdAt: EpochMs,
  reason: string,
  attempt: readonly [number: number, at: EpochMs, kind: Outcome['kind'], status: number | null, durationMs: number, text: string] | null,
  created: readonly string[],
  body: string | null,
];

interface RecordOptions {
  readonly now: EpochMs;
  readonly bodies: boolean;
  /** Why a push was withheld; undefined if it was not. */
  readonly withheld: string | undefined;
}

/** The line of a settlement; empty for a release, which is no event. */
export function lineOf(delivery: Claimed, settlement: Omit<Settlement, 'delivery'>, { now, bodies, withheld }: RecordOptions): string {
  const { disposition, attempt, spawn } = settlement;
  if (disposition.kind === 'released') return '';
  const { id, packetId, facts = null, host, handler, pool, sender, receiver, seenAt, createdAt, body } = delivery;
  const state = disposition.kind === 'retry' ? 'waiting' : withheld === undefined ? disposition.kind : 'withheld';
  const reason = disposition.kind === 'dead' ? disposition.reason : (withheld ?? '');
  const created = spawn.length === 0 ? noIds : spawn.map((each) => each.id);
  const tried = attempt === undefined ? null : attemptOf(attempt);
  const kept = bodies ? textOf(body) : null;
  const line: Line = [
    ...([now, state, id, packetId, facts, host, handler, pool, sender, receiver, seenAt, createdAt, reason, tried, created, kept] as const),
  ];
  return `${JSON.stringify(line)}\n`;
}

const noIds: readonly string[] = [];

/** Without the texts of responses, which may quote messages. */
function attemptOf({ number, at, outcome, judgement }: AttemptRecord): Line[13] {
  const status = judgement?.status ?? (outcome.kind === 'answered' ? outcome.status : null);
  return [number, at, outcome.kind, status, Math.round(outcome.durationMs * 10) / 10, detailOf(outcome)];
}

function detailOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'timed-out':
      return outcome.phase;
    case 'broken':
    case 'unreachable':
    case 'unsent':
      return outcome.code;
    case 'answered':
    case 'refused':
    case 'sent':
      return '';
    default:
      return outcome satisfies never;
  }
}

function textOf(body: Body): string {
  return typeof body === 'string' ? body : Buffer.from(body).toString('base64');
}

export type DroppedEvent = ReadFacts & Omit<HistoryRecord, 'at' | 'attempt' | 'body' | 'created' | 'facts' | 'reason' | 'state'>;

/** The line of an event that an operator has dropped. */
export function droppedLine(event: DroppedEvent, now: EpochMs): string {
  const { id, packetId, kind, messageId, stanzaId, host, handler, pool, sender, receiver, seenAt, createdAt } = event;
  const facts = JSON.stringify([kind, messageId, stanzaId]) as PacketFacts;
  const line: Line = [now, 'dropped', id, packetId, facts, host, handler, pool, sender, receiver, seenAt, createdAt, '', null, noIds, null];
  return `${JSON.stringify(line)}\n`;
}

/** Undefined for a line that is incomplete, because the process was killed or the disk was full while it was written. */
export function readLine(text: string): HistoryRecord | undefined {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isLine(line)) return undefined;
  const [at, state, id, packetId, facts, host, handler, pool, sender, receiver, seenAt, createdAt, reason, tried, created, body] = line;
  const attempt = tried && { number: tried[0], at: tried[1], kind: tried[2], status: tried[3], durationMs: tried[4], text: tried[5] };
  return { at, state, id, packetId, facts, host, handler, pool, sender, receiver, seenAt, createdAt, reason, attempt, created, body };
}

/** A complete line was written by this service. */
function isLine(value: unknown): value is Line {
  return Array.isArray(value) && value.length === 16 && typeof value[0] === 'number' && typeof value[2] === 'string';
}
