/** Shows operators what happens to events while it happens. Nothing is recorded unless a viewer has asked within the last half minute. */
import type { Clock, EpochMs } from '../kit/clock.ts';
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

/** One step of an event. */
export interface TailLine {
  readonly at: EpochMs;
  readonly what: 'accepted' | 'attempt' | 'settled' | 'withheld';
  readonly subject: DeliverySubject;
  readonly state: EventState;
  readonly attempt: number | undefined;
  readonly outcome: Outcome | undefined;
  /** Why an attempt failed, an event died, or a push was withheld; otherwise empty. */
  readonly reason: string;
}

export interface TailPage {
  readonly viewer: string;
  /** Whether the view begins with this page: what happened before is not in it. */
  readonly begins: boolean;
  readonly lines: readonly TailLine[];
  /** Number of lines before these that were lost, because the viewer asked too late for them. */
  readonly missed: number;
}

interface Viewer {
  readonly key: string;
  readonly filter: TailFilter;
  lines: TailLine[];
  missed: number;
  /** Monotonic, ms. */
  readAt: number;
}

interface TailOptions {
  readonly events: Pick<EventBus, 'on'>;
  readonly clock: Pick<Clock, 'monotonic' | 'now'>;
  readonly newId: () => string;
}

/** Lines that wait for one viewer. */
const maxLines = 5000;
/** The one that has not asked for the longest time gives way to another. */
const maxViewers = 16;
/** Time after which a viewer that does not ask is forgotten, ms. */
const forgetMs = 30_000;

export class Tail {
  readonly #options: TailOptions;
  readonly #viewers = new Map<string, Viewer>();
  #unsubscribe: readonly (() => void)[] = [];

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** The lines since the last page of this viewer; a viewer that is not known, or has another filter, begins. */
  read(viewer: string | undefined, filter: TailFilter): TailPage {
    this.#forgetSilent();
    const key = JSON.stringify([filter.handler, filter.pool, filter.host, filter.jid, filter.states]);
    const known = viewer === undefined ? undefined : this.#viewers.get(viewer);
    if (viewer === undefined || known === undefined || known.key !== key) return this.#begin(key, filter);
    const { lines, missed } = known;
    [known.lines, known.missed, known.readAt] = [[], 0, this.#options.clock.monotonic()];
    const kept = lines.slice(-maxLines);
    return { viewer, begins: false, lines: kept, missed: missed + lines.length - kept.length };
  }

  #begin(key: string, filter: TailFilter): TailPage {
    if (this.#viewers.size >= maxViewers) this.#forget(this.#longestSilent());
    if (this.#viewers.size === 0) this.#subscribe();
    const viewer = this.#options.newId();
    this.#viewers.set(viewer, { key, filter, lines: [], missed: 0, readAt: this.#options.clock.monotonic() });
    return { viewer, begins: true, lines: [], missed: 0 };
  }

  #longestSilent(): string {
    const [first] = Array.from(this.#viewers, ([id, { readAt }]) => ({ id, readAt })).sort((one, other) => one.readAt - other.readAt);
    return first?.id ?? '';
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
    let line: TailLine | undefined;
    let isSilent = false;
    for (const viewer of this.#viewers.values()) {
      if (!matches(viewer.filter, subject, step.state)) continue;
      line ??= { at: this.#options.clock.now(), subject: subjectOf(subject), ...step };
      viewer.lines.push(line);
      if (viewer.lines.length < 2 * maxLines) continue;
      viewer.lines = viewer.lines.slice(-maxLines);
      viewer.missed += maxLines;
      isSilent = true;
    }
    if (isSilent) this.#forgetSilent();
  }
}

const noAttempt = { attempt: undefined, outcome: undefined, reason: '' };

function stepOf({ accepted, died, attempt, outcome, reason }: Events['attempt.ended']): Omit<TailLine, 'at' | 'subject'> {
  const state = accepted ? 'delivered' : died === undefined ? 'waiting' : 'dead';
  return { what: 'attempt', state, attempt, outcome, reason };
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
