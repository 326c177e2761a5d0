/** Shows operators the steps of events as they happen. Nothing is recorded unless a viewer has asked within the last half minute. */
import type { Clock, EpochMs } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { ownCopy } from '../kit/own-copy.ts';
import type { Outcome } from '../model/attempt.ts';
import { type DeliverySubject, type EventBus, type Events, subjectOf } from '../telemetry/events.ts';
import type { EventState } from './event-lookup.ts';

/** All given keys must match. */
export interface TailFilter {
  readonly handler?: string | undefined;
  readonly pool?: string | undefined;
  readonly host?: string | undefined;
  /** Bare JID of the sender or receiver. */
  readonly jid?: string | undefined;
  /** State after the step. */
  readonly states?: readonly EventState[] | undefined;
}

/** One step of an event. It may wait in memory, so it has no part of a response but the status. */
export interface TailLine {
  readonly at: EpochMs;
  readonly what: 'accepted' | 'attempt' | 'settled' | 'withheld';
  readonly subject: DeliverySubject;
  readonly state: EventState;
  readonly attempt: number | undefined;
  /** These three are of an attempt. */
  readonly result: Outcome['kind'] | undefined;
  readonly durationMs: number | undefined;
  readonly status: number | undefined;
  /** Why an attempt failed, an event died, or a push was withheld; otherwise empty. */
  readonly reason: string;
}

export interface TailPage {
  /** Names the viewer and the end of this page. The next request with it confirms the page; without that the lines are repeated. */
  readonly viewer: string;
  /** Whether the view begins with this page: earlier steps are not shown. */
  readonly begins: boolean;
  readonly lines: readonly TailLine[];
  /** Number of earlier lines that were lost because the viewer asked too late. */
  readonly missed: number;
}

interface Viewer {
  readonly key: string;
  readonly filter: TailFilter;
  /** Those that are not confirmed; undefined in the place of an erased one. */
  lines: (TailLine | undefined)[];
  /** Number of lines before these. */
  before: number;
  /** Monotonic, ms. */
  readAt: number;
}

interface TailOptions {
  readonly events: Pick<EventBus, 'on'>;
  readonly clock: Pick<Clock, 'monotonic' | 'now'>;
  readonly newId: () => string;
}

/** Maximum number of lines that wait for a viewer. */
const maxLines = 5000;
const maxViewers = 16;
/** Time after which a viewer that does not ask gives way to another, ms: longer than the pause of `event-pusher tail` after an error. */
const yieldMs = 5000;
/** Time after which a viewer that does not ask is forgotten, ms. */
const forgetMs = 30_000;
/** Maximum length of a reason, in characters. */
const maxReasonLength = 1024;

export class Tail {
  readonly #options: TailOptions;
  readonly #viewers = new Map<string, Viewer>();
  #unsubscribe: readonly (() => void)[] = [];

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /**
   * The lines since the page that `viewer` names. A viewer that is not known, or has another filter, begins. Throws TAIL_BUSY if a view
   * would begin in the place of another one that is being read.
   */
  read(viewer: string | undefined, filter: TailFilter): TailPage {
    this.#forgetSilent();
    const key = JSON.stringify([filter.handler, filter.pool, filter.host, filter.jid, filter.states]);
    const { id, seen } = placeOf(viewer);
    const known = this.#viewers.get(id);
    if (known !== undefined && known.key !== key) this.#forget(id);
    if (known === undefined || known.key !== key || seen > known.before + known.lines.length) return this.#begin(key, filter);
    known.readAt = this.#options.clock.monotonic();
    keepLast(known, Math.min(maxLines, known.before + known.lines.length - seen));
    const lines = known.lines.filter((line) => line !== undefined);
    return { viewer: `${id}:${known.before + known.lines.length}`, begins: false, lines, missed: known.before - seen };
  }

  /** Removes the lines of a user who is erased. */
  forget(jid: string): void {
    const concerns = ({ subject }: TailLine) => subject.sender === jid || subject.receiver === jid;
    for (const viewer of this.#viewers.values())
      viewer.lines = viewer.lines.map((line) => (line === undefined || concerns(line) ? undefined : line));
  }

  #begin(key: string, filter: TailFilter): TailPage {
    if (this.#viewers.size >= maxViewers) this.#forget(this.#longestSilent());
    if (this.#viewers.size === 0) this.#subscribe();
    const id = this.#options.newId();
    this.#viewers.set(id, { key, filter, lines: [], before: 0, readAt: this.#options.clock.monotonic() });
    return { viewer: `${id}:0`, begins: true, lines: [], missed: 0 };
  }

  #longestSilent(): string {
    const since = this.#options.clock.monotonic() - yieldMs;
    const [first] = Array.from(this.#viewers, ([id, { readAt }]) => ({ id, readAt })).sort((one, other) => one.readAt - other.readAt);
    if (first !== undefined && first.readAt < since) return first.id;
    throw new ServiceError('TAIL_BUSY', `${maxViewers} viewers follow the events, which is the maximum: end one, or try again later`);
  }

  #forgetSilent(): void {
    const since = this.#options.clock.monotonic() - forgetMs;
    for (const [id, { readAt }] of this.#viewers) if (readAt < since) this.#forget(id);
  }

  #forget(id: string): void {
    this.#viewers.delete(id);
    if (this.#viewers.size > 0) return;
    for (const off of this.#unsubscribe) off();
    this.#unsubscribe = [];
  }

  #subscribe(): void {
    const { events } = this.#options;
    this.#unsubscribe = [
      events.on('delivery.accepted', (delivery) => this.#add(delivery, { ...noAttempt, what: 'accepted', state: 'waiting' })),
      events.on('attempt.ended', (attempt) => this.#add(attempt, stepOf(attempt))),
      events.on('delivery.settled', (delivery) => {
        const { disposition: state, reason } = delivery;
        if (state === 'dead' || state === 'delivered') this.#add(delivery, { ...noAttempt, what: 'settled', state, reason });
      }),
      events.on('push.withheld', (push) => this.#add(push, { ...noAttempt, what: 'withheld', state: 'withheld', reason: push.why })),
    ];
  }

  #add(subject: DeliverySubject, step: Omit<TailLine, 'at' | 'subject'>): void {
    this.#forgetSilent();
    let line: TailLine | undefined;
    for (const viewer of this.#viewers.values()) {
      if (!matches(viewer.filter, subject, step.state)) continue;
      line ??= { at: this.#options.clock.now(), subject: subjectOf(subject), ...step, reason: shortened(step.reason) };
      viewer.lines.push(line);
      if (viewer.lines.length >= 2 * maxLines) keepLast(viewer, maxLines);
    }
  }
}

function placeOf(viewer = ''): { readonly id: string; readonly seen: number } {
  const [, id = '', seen = '0'] = /^(.+):(\d{1,15})$/.exec(viewer) ?? [];
  return { id, seen: Number(seen) };
}

function keepLast(viewer: Viewer, count: number): void {
  const kept = Math.min(count, viewer.lines.length);
  viewer.before += viewer.lines.length - kept;
  viewer.lines = kept === 0 ? [] : viewer.lines.slice(-kept);
}

const noAttempt = { attempt: undefined, result: undefined, durationMs: undefined, status: undefined, reason: '' };

function stepOf({ accepted, died, attempt, outcome, reason }: Events['attempt.ended']): Omit<TailLine, 'at' | 'subject'> {
  const state = accepted ? 'delivered' : died === undefined ? 'waiting' : 'dead';
  const status = outcome.kind === 'answered' ? outcome.status : undefined;
  return { what: 'attempt', state, attempt, result: outcome.kind, durationMs: outcome.durationMs, status, reason };
}

/** A callback or a chat server may give a long one. */
function shortened(reason: string): string {
  return reason.length <= maxReasonLength ? reason : `${ownCopy(reason.slice(0, maxReasonLength))}…`;
}

function matches({ handler, pool, host, jid, states }: TailFilter, subject: DeliverySubject, state: EventState): boolean {
  return (
    (handler ?? subject.handler) === subject.handler &&
    (pool ?? subject.pool) === subject.pool &&
    (host ?? subject.host) === subject.host &&
    (jid === undefined || subject.sender === jid || subject.receiver === jid) &&
    (states === undefined || states.includes(state))
  );
}
