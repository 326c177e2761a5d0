import type { CallbackFailure } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { Judgement, Outcome } from '../model/attempt.ts';
import type { AskFailure, DeliveryId } from '../model/delivery.ts';
import type { Direction, PacketEvent, PacketId } from '../model/packet.ts';

/**
 * Every event of the service, once: logs, metrics and health subscribe, the parts only emit. Fields are plain values;
 * none is a message body, and only `log` fields may hold a JID or an id (they never become labels).
 */

/** A circuit breaker: `closed` lets all through, `open` nothing, `half-open` one probe, `slow-start` more and more. */
export type BreakerState = 'closed' | 'half-open' | 'open' | 'slow-start';

/** `standby`: another pusher has the feed, and this one takes it over when that goes. */
export type AttachmentState = 'attached' | 'connecting' | 'offline' | 'refused' | 'resuming' | 'standby';

/** How the gate answered. Bounded, since it is a label. */
export type GateAnswered = 'allowed' | 'changed' | 'failed' | 'refused' | 'rejected';

/** What a delivery is for: a push, a question that comes before one, or a request or message that a backend's answer ordered. */
export type Purpose = 'ask' | 'message' | 'order' | 'push';

/** Why what an answer asked for is not done. */
export type IgnoredReason = 'declined' | 'malformed' | 'too-deep' | 'truncated' | 'unknown-task';

/** What came of a question to a business server. `failed`: no answer that counts. */
export type AskResult = 'allowed' | 'failed' | 'withheld';

export interface Events {
  /** A request in a backend's answer was not carried out. `reason`: `declined` (success was false), `malformed`, `too-deep`, `truncated`, `unknown-task`. */
  'answer.ignored': { readonly id: DeliveryId; readonly pool: string; readonly handler: string; readonly reason: IgnoredReason };
  /** An archive no longer knows the last message that we saw in it: what it threw away meanwhile, if anything, was missed. */
  'archive.gap': { readonly attachment: string; readonly host: string };
  /**
   * A question to a business server is over. `id`: its `operationID`; `reason`: why its answer does not count, undefined where
   * it does; `pushes`: how many come of it.
   */
  'ask.ended': {
    readonly id: DeliveryId;
    readonly packetId: PacketId;
    readonly handler: string;
    readonly host: string;
    readonly result: AskResult;
    readonly reason: AskFailure | undefined;
    readonly pushes: number;
  };
  /**
   * One attempt ended. `host` is the packet's; `accepted`: the verdict was accepted; `reason`: why it was not, otherwise empty.
   * The reason may quote the error text of a callback, so it is not logged.
   */
  'attempt.ended': {
    readonly id: DeliveryId;
    readonly pool: string;
    readonly handler: string;
    readonly host: string;
    readonly purpose: Purpose;
    readonly attempt: number;
    readonly attemptsAllowed: number;
    readonly outcome: Outcome;
    /** What the handler's callbacks made of it; undefined where it has none. */
    readonly judgement: Judgement | undefined;
    readonly accepted: boolean;
    readonly reason: string;
    /** Accepted → the end of this attempt, ms. */
    readonly ageMs: number;
    /** When it is tried again; undefined when it is not. */
    readonly nextAt: EpochMs | undefined;
    /** The reason of its dead letter; undefined while it is none. */
    readonly died: string | undefined;
  };
  /**
   * A session of a source moved on. `host` is empty for the connection as a whole; `reason` is for people. `node` is the
   * server's (`xmpp://host:port`) where an attachment has several.
   */
  'attachment.state': {
    readonly attachment: string;
    readonly host: string;
    readonly node?: string;
    readonly state: AttachmentState;
    readonly reason: string;
  };
  /** Deliveries had no place in the backlog of a pool: `policy` says what happened to `count` of them. */
  'backlog.overflow': {
    readonly pool: string;
    readonly handler: string;
    readonly policy: 'dead-letter-oldest' | 'hold-intake' | 'refuse';
    readonly count: number;
  };
  /** A circuit breaker moved on. `handler` is empty for that of the whole pool; `reason` is for people. */
  'breaker.state': { readonly pool: string; readonly handler: string; readonly state: BreakerState; readonly reason: string };
  /** A callback on accept ended. `callback` is its name; durations in ms. */
  'callback.ended': { readonly handler: string; readonly callback: string; readonly durationMs: number };
  /** A callback threw, rejected, returned nonsense, missed its deadline or was skipped; a dead letter was made. */
  'callback.failed': { readonly handler: string; readonly callback: string; readonly packetId: PacketId; readonly error: Error };
  /** A new configuration was asked for. `reason` says why it was refused, or what changed. */
  'config.reload': { readonly result: 'applied' | 'refused' | 'restart'; readonly reason: string };
  /**
   * A listener refused `count` connections: it has reached its limit (`max-connections`), or the process its limit of open files
   * (`open-files`). `listener`: `admin`, `gate`, or an attachment.
   */
  'connection.refused': { readonly listener: string; readonly reason: string; readonly count: number };
  /** A delivery is on disk. */
  'delivery.accepted': { readonly pool: string; readonly handler: string; readonly host: string };
  /** A callback at delivery, in a pool's thread, went wrong. */
  'delivery.callback-failed': { readonly pool: string } & CallbackFailure;
  /** A delivery that keeps failing left its lane, which moves on without it. */
  'delivery.left-lane': { readonly id: DeliveryId; readonly pool: string; readonly handler: string };
  /** A delivery's disposition is on disk: `delivered`, `dead` with its reason, or `retry`. `ageMs`: accepted → now. */
  'delivery.settled': {
    readonly id: DeliveryId;
    readonly pool: string;
    readonly handler: string;
    readonly host: string;
    readonly purpose: Purpose;
    readonly disposition: 'dead' | 'delivered' | 'retry';
    readonly reason: string;
    readonly ageMs: number;
  };
  /** A request was ended by an exit's return code, or by what an exit or a program unit threw; `text` is what the client was told. */
  'exit.failed': {
    readonly attachment: string;
    readonly descriptor: string;
    readonly by: 'exit' | 'unit';
    readonly text: string;
    /** Undefined: the exit has returned that code. */
    readonly error: Error | undefined;
  };
  /**
   * A chat server asked about a message. `failed`: nobody could say, it does what it was told to do then. `rejected`: it
   * was no proper question, such as one without the token. `reason` says why for these two and is empty else; ms.
   */
  'gate.answered': { readonly answer: GateAnswered; readonly reason: string; readonly durationMs: number };
  /** A `gate` threw, rejected, returned nonsense, missed its deadline or was skipped. */
  'gate.failed': { readonly handler: string; readonly packetId: PacketId; readonly error: Error };
  /** The listener of the gate opened or closed. */
  'gate.listening': { readonly listening: boolean };
  /** A backend asked for patience (429): nothing of this handler is sent to this pool before `until`. */
  'handler.paused': { readonly pool: string; readonly handler: string; readonly until: EpochMs };
  /** A JID could not be prepared and was passed on as it is. */
  'jid.unprepared': { readonly attachment: string };
  /** A message for the operator; level info by default. */
  notice: { readonly text: string; readonly level?: 'warn' };
  /** A stanza became a packet. */
  'packet.seen': { readonly attachment: string; readonly host: string; readonly direction: Direction; readonly event: PacketEvent };
  /** A stanza of a feed was not a packet. `reason`: `duplicate`, `forged`, `unknown-direction`, `own`, `archive`, `carbon`, `error`, `malformed`, `too-large`, `room-self`, `overloaded`, `rate-limited`, `unauthorized`, `unknown-host`. */
  'packet.skipped': { readonly attachment: string; readonly host?: string; readonly reason: string };
  /** An operator paused or resumed a pool. */
  'pool.paused': { readonly pool: string; readonly paused: boolean };
  /** This machine or process has no descriptor, port or memory left for a connection of the pool. `lasts`: one more attempt met it. */
  'pool.shortage': { readonly pool: string; readonly state: 'began' | 'ended' | 'lasts'; readonly reason: string };
  /** A pool's thread started, has loaded all it needs (`up`), or died (with the reason) and is replaced. */
  'pool.thread': { readonly pool: string; readonly state: 'died' | 'started' | 'up'; readonly reason: string };
  /** A pool with free workers waited for its rate limit. */
  'pool.throttled': { readonly pool: string; readonly waitMs: number };
  /**
   * Nothing is pushed of a packet: a business server refused it, or named no receiver, or gave no answer that counts where that
   * refuses. The texts and the code are the server's. Sender and receiver, as bare JIDs, are for who may see them.
   */
  'push.withheld': {
    readonly id: DeliveryId;
    readonly packetId: PacketId;
    readonly handler: string;
    readonly host: string;
    readonly sender: string;
    readonly receiver: string;
    readonly why: AskFailure | 'no-receiver' | 'refused';
    readonly errCode: number | null;
    readonly errMsg: string;
    readonly errDlt: string;
  };
  /** For the first time all hosts are attached and the spool takes in. `admin` is the address of metrics and health. */
  ready: { readonly admin: string };
  /** A promise that nobody waits for was rejected; a callback module has left it behind. */
  'rejection.stray': { readonly error: Error };
  /** A request to a listener failed because of a fault of the service and was answered with 500. */
  'request.failed': { readonly listener: string; readonly error: Error };
  /** A transaction of the spool is on disk. */
  'spool.committed': { readonly durationMs: number; readonly commands: number };
  /** Undelivered events were deleted from the spool. */
  'spool.deleted': { readonly pool: string; readonly handler: string; readonly reason: DeletionReason; readonly count: number };
  /** The spool found at its start that its last commits may be lost. */
  'spool.loss': { readonly reason: string };
  /** Intake stopped or goes on. */
  'spool.writable': { readonly writable: boolean; readonly reason: string };
  /** Bytes came from a chat server. */
  'stream.read': { readonly attachment: string; readonly bytes: number };
  /** The server's queue lost `missing` packets before they were received; undefined: the whole queue, of unknown size (new epoch). */
  'tap.hole': { readonly attachment: string; readonly host: string; readonly missing: number | undefined };
  /**
   * A tap has sent `items` items before, but the spool has no mark for them: the spool is new or was lost, or another pusher
   * received them. Items that were not delivered may be lost.
   */
  'tap.mark-missing': { readonly attachment: string; readonly host: string; readonly items: number };
  /** Fill level of a tap's queue. `stream` identifies it (host and node); at a `ratio` of 1 the tap drops items. */
  'tap.queue': {
    readonly attachment: string;
    readonly host: string;
    readonly stream: string;
    readonly items: number;
    readonly bytes: number;
    readonly ratio: number;
  };
}

/** `age`: `dead_letter_max_age`. `count`: `dead_letter_max`. `orphan-purge` and `purge`: an operator purged orphans or dead letters. */
export type DeletionReason = 'age' | 'count' | 'orphan-purge' | 'purge';

export type EventName = keyof Events;

/** Where parts say what happened. Emitting never throws: a broken subscriber must not harm what it observes. */
export interface EventSink {
  emit<N extends EventName>(name: N, event: Events[N]): void;
}

export interface EventBus extends EventSink {
  /** Calls `listener` at every event of this name; the returned function ends it. */
  on<N extends EventName>(name: N, listener: (event: Events[N]) => void): () => void;
  /** Resolves with the next event of this name that `matches`: tests wait for this, never for time. */
  next<N extends EventName>(name: N, matches?: (event: Events[N]) => boolean): Promise<Events[N]>;
}

type AnyListener = (event: never) => void;

/** Calls listeners at once, in the order they came. What a listener throws goes to `onBroken`, never to the emitter. */
export function createEventBus(onBroken: (name: EventName, error: Error) => void = () => undefined): EventBus {
  const listeners = new Map<EventName, AnyListener[]>();

  function emit<N extends EventName>(name: N, event: Events[N]): void {
    for (const listener of listeners.get(name) ?? []) {
      try {
        (listener as (event: Events[N]) => void)(event); // `on` pairs names and listeners
      } catch (thrown) {
        onBroken(name, toError(thrown));
      }
    }
  }

  function on<N extends EventName>(name: N, listener: (event: Events[N]) => void): () => void {
    listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    return () => {
      listeners.set(
        name,
        (listeners.get(name) ?? []).filter((other) => other !== listener),
      );
    };
  }

  function next<N extends EventName>(name: N, matches: (event: Events[N]) => boolean = () => true): Promise<Events[N]> {
    const deferred = createDeferred<Events[N]>();
    const off = on(name, (event) => {
      if (!matches(event)) return;
      off();
      deferred.resolve(event);
    });
    return deferred.promise;
  }

  return { emit, on, next };
}
