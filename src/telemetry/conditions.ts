/** Conditions of the service and when each began: breakers, attachments, tap queues, pauses, reloads. The verdict is made of them. */
import type { Clock, EpochMs } from '../kit/clock.ts';
import type { AttachmentState, BreakerState, EventBus, Events } from './events.ts';
import { Series } from './series.ts';

/** A state and the time of its beginning. */
export interface Since<S> {
  readonly state: S;
  readonly since: EpochMs;
  /** A text for operators; may be empty. */
  readonly reason: string;
}

/** Packets that a chat server lost before they were received. `missing` is undefined if a whole queue of unknown size was lost. */
export interface TapHole {
  readonly attachment: string;
  readonly host: string;
  readonly missing: number | undefined;
  readonly at: EpochMs;
}

type Queue = Events['tap.queue'];

interface Instant {
  at: EpochMs | undefined;
}

/** A dead letter: when, and why. `error` is set if a callback on accept failed; it may quote a message. */
export interface Death {
  readonly at: EpochMs;
  readonly reason: string;
  readonly error: string | undefined;
}

/** Follows the events from its creation on. Conditions that began before are unknown. */
export class Conditions {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #breakers = new Map<string, Since<BreakerState>>();
  readonly #attachments = new Map<string, Since<AttachmentState>>();
  readonly #pauses = new Map<string, EpochMs>();
  readonly #packets = new Series<Instant, [attachment: string, host: string]>(() => ({ at: undefined }));
  readonly #queues = new Map<string, Queue>();
  readonly #holes = new Map<string, TapHole>();
  readonly #deaths = new Map<string, Death>();
  readonly #overflows = new Map<string, EpochMs>();
  readonly #failures = new Series<Instant, [pool: string, handler: string]>(() => ({ at: undefined }));
  readonly startedAt: EpochMs;
  #spoolSince: EpochMs | undefined;
  #reload: (Events['config.reload'] & { readonly at: EpochMs }) | undefined;

  constructor({ events, clock }: { readonly events: EventBus; readonly clock: Pick<Clock, 'now'> }) {
    this.#clock = clock;
    this.startedAt = clock.now();
    this.#followPools(events);
    this.#followAttachments(events);
    events.on('spool.writable', ({ writable }) => {
      this.#spoolSince = writable ? undefined : (this.#spoolSince ?? clock.now());
    });
    events.on('config.reload', (reload) => {
      this.#reload = { ...reload, at: clock.now() };
    });
  }

  #followPools(events: EventBus): void {
    const clock = this.#clock;
    events.on('breaker.state', ({ pool, handler, state, reason }) => {
      const key = keyOf(pool, handler);
      const before = this.#breakers.get(key);
      // An open breaker that probes is still the same outage.
      const lasts = before !== undefined && before.state !== 'closed' && state !== 'closed';
      this.#breakers.set(key, { state, reason, since: lasts ? before.since : clock.now() });
    });
    events.on('pool.paused', ({ pool, handler, paused }) => {
      if (paused) this.#pauses.set(keyOf(pool, handler), clock.now());
      else this.#pauses.delete(keyOf(pool, handler));
    });
    events.on('backlog.overflow', ({ pool }) => this.#overflows.set(pool, clock.now()));
    events.on('attempt.ended', ({ pool, handler, accepted }) => {
      const failing = this.#failures.at(pool, handler);
      if (accepted) failing.at = undefined;
      else failing.at ??= clock.now();
    });
    events.on('delivery.settled', ({ pool, handler, disposition, reason }) => {
      if (disposition === 'dead') this.#deaths.set(keyOf(pool, handler), { at: clock.now(), reason, error: undefined });
    });
    events.on('callback.failed', ({ handler, callback, error }) => {
      this.#deaths.set(keyOf('', handler), { at: clock.now(), reason: 'callback-failed', error: `${callback}: ${error.message}` });
    });
  }

  #followAttachments(events: EventBus): void {
    const clock = this.#clock;
    events.on('attachment.state', ({ attachment, host, node = '', state, reason }) => {
      const key = keyOf(attachment, node, host);
      const before = this.#attachments.get(key);
      const isAttached = before?.state === 'attached';
      const lasts = before !== undefined && isAttached === (state === 'attached');
      this.#attachments.set(key, { state, reason, since: lasts ? before.since : clock.now() });
      if (host === '' && state !== 'attached') this.#forgetHostsOf(attachment, node);
    });
    events.on('packet.seen', ({ attachment, host }) => {
      this.#packets.at(attachment, host).at = clock.now();
    });
    events.on('tap.queue', (queue) => this.#queues.set(queue.stream, queue));
    events.on('tap.hole', (hole) => this.#holes.set(keyOf(hole.attachment, hole.host), { ...hole, at: clock.now() }));
  }

  /** States of hosts and fill levels belong to the lost connection. */
  #forgetHostsOf(attachment: string, node: string): void {
    const connection = keyOf(attachment, node, '');
    for (const key of this.#attachments.keys()) if (key !== connection && key.startsWith(connection)) this.#attachments.delete(key);
    for (const [stream, queue] of this.#queues) if (queue.attachment === attachment) this.#queues.delete(stream);
  }

  /** The breaker of a handler, or with an empty handler that of the pool. Undefined: it has been closed since the start. */
  breaker(pool: string, handler: string): Since<BreakerState> | undefined {
    return this.#breakers.get(keyOf(pool, handler));
  }

  /** When the present run of failed attempts began; undefined if the last attempt was accepted. */
  failingSince(pool: string, handler: string): EpochMs | undefined {
    return this.#failures.at(pool, handler).at;
  }

  /** Undefined if the pool, or this handler of it, was paused before the start, or is not paused. */
  pausedSince(pool: string, handler = ''): EpochMs | undefined {
    return this.#pauses.get(keyOf(pool, handler));
  }

  /** The last dead letter of a queue. Callbacks on accept fail before a pool is chosen, so theirs count for every pool of the handler. */
  lastDeath(pool: string, handler: string): Death | undefined {
    const [own, ofCallback] = [this.#deaths.get(keyOf(pool, handler)), this.#deaths.get(keyOf('', handler))];
    return (ofCallback?.at ?? 0) > (own?.at ?? 0) ? ofCallback : own;
  }

  /** When the pool's backlog was full for the last time. */
  lastOverflow(pool: string): EpochMs | undefined {
    return this.#overflows.get(pool);
  }

  /** When the connection, or the feed of a host on it, was last attached, or has been lost. */
  attachment(attachment: string, node: string, host: string): Since<AttachmentState> | undefined {
    return this.#attachments.get(keyOf(attachment, node, host)) ?? this.#attachments.get(keyOf(attachment, node, ''));
  }

  lastPacket(attachment: string, host: string): EpochMs | undefined {
    return this.#packets.at(attachment, host).at;
  }

  /** The fullest tap queue of a host; undefined if its tap has not reported one. */
  tapQueue(attachment: string, host: string): Queue | undefined {
    const own = [...this.#queues.values()].filter((queue) => queue.attachment === attachment && queue.host === host);
    return own.sort((one, other) => other.ratio - one.ratio)[0];
  }

  /** Fill ratio of the fullest tap queue; 0 if no tap has reported one. */
  get tapFill(): number {
    let fill = 0;
    for (const { ratio } of this.#queues.values()) fill = Math.max(fill, ratio);
    return fill;
  }

  tapHole(attachment: string, host: string): TapHole | undefined {
    return this.#holes.get(keyOf(attachment, host));
  }

  /** When intake stopped; undefined while the spool is writable. */
  get spoolRefusesSince(): EpochMs | undefined {
    return this.#spoolSince;
  }

  get lastReload(): (Events['config.reload'] & { readonly at: EpochMs }) | undefined {
    return this.#reload;
  }
}

function keyOf(...parts: readonly string[]): string {
  return parts.join('\n');
}
