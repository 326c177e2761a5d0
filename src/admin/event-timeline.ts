import type { EpochMs } from '../kit/clock.ts';
import type { AttemptRecord } from '../model/attempt.ts';
import type { RecordedAttempt } from '../spool/history/record.ts';
import type { EventDetail } from './event-lookup.ts';

/**
 * One step of an event: the stanza was seen, the response to another event created this one, a business server answered the question about
 * it, the delivery was accepted, an attempt ended, or the event was settled.
 */
interface TimelineStep {
  readonly at: EpochMs;
  readonly what: 'accepted' | 'asked' | 'attempt' | 'created' | 'seen' | 'settled';
  readonly attempt: number | null;
  readonly result: string;
  readonly status: number | null;
  readonly durationMs: number | null;
  readonly detail: string;
}

/** What happened to an event, in order. Attempts come from the spool, or from the history if the spool has deleted them. */
export function timelineOf(event: EventDetail): readonly TimelineStep[] {
  const { seenAt, createdAt, settledAt, state, reason, history, records, origin } = event;
  const kept = history.map(stepOf);
  const recorded = records.flatMap(({ attempt }) => (attempt === null ? [] : [recordedStep(attempt)]));
  const isKept = (step: TimelineStep): boolean => kept.some(({ at, attempt }) => at === step.at && attempt === step.attempt);
  const attempts = [...kept, ...recorded.filter((step) => !isKept(step))].sort((one, other) => one.at - other.at);
  return [
    { ...noAttempt, at: seenAt, what: 'seen' },
    ...(origin === null ? [] : [{ ...recordedStep(origin), what: 'created' as const }]),
    ...askedStep(event),
    { ...noAttempt, at: createdAt, what: 'accepted', result: hasNoRequest(event) ? 'no-request' : 'request-made' },
    ...attempts,
    ...(settledAt === null ? [] : [{ ...noAttempt, at: settledAt, what: 'settled' as const, result: state, detail: reason }]),
  ];
}

/** A callback failed before there was a request. The raw packet is stored with such an event until it is purged. */
function hasNoRequest({ attempts, packet, state, target }: EventDetail): boolean {
  return packet !== null || (state === 'dead' && attempts === 0 && target === null);
}

const noAttempt = { attempt: null, result: '', status: null, durationMs: null, detail: '' };

/** The answer of the business server is stored with a push that waits or is dead. */
function askedStep({ target, createdAt }: EventDetail): readonly TimelineStep[] {
  const answered = target?.kind === 'http' ? target.answered : undefined;
  if (answered === undefined) return [];
  const detail = answered.kind === 'failed' ? answered.reason : '';
  return [{ ...noAttempt, at: createdAt, what: 'asked', result: answered.kind, detail }];
}

function stepOf({ number, at, outcome, judgement }: AttemptRecord): TimelineStep {
  const status = judgement?.status ?? (outcome.kind === 'answered' ? outcome.status : null);
  const detail = outcome.kind === 'timed-out' ? outcome.phase : 'code' in outcome ? outcome.code : '';
  return { at, what: 'attempt', attempt: number, result: outcome.kind, status, durationMs: outcome.durationMs, detail };
}

function recordedStep({ number, at, kind, status, durationMs, text }: RecordedAttempt): TimelineStep {
  return { at, what: 'attempt', attempt: number, result: kind, status, durationMs, detail: text };
}
