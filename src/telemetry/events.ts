/**
 * Every event of the service, and the bus that carries them. The parts of the service emit events; logs, metrics and health
 * subscribe. Fields are plain values. None contains a message body, and JIDs and ids never become labels of metrics.
 */
import type { CallbackFailure } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { DispositionKind, Judgement, Outcome } from '../model/attempt.ts';
import type { AskFailure, DeliveryId, NewDelivery } from '../model/delivery.ts';
import type { Direction, PacketEvent, PacketId } from '../model/packet.ts';

/** State of a circuit breaker: `closed` allows every attempt, `open` none, `half-open` one probe, `slow-start` a growing number. */
export type BreakerState = 'closed' | 'half-open' | 'open' | 'slow-start';

/**
 * State of a connection to a chat server, or of a host's feed on it. `resuming`: connected, and the feed does not flow yet. `standby`:
 * another pusher holds the component or receives the feed; this one takes over when it disconnects.
 */
export type AttachmentState = 'attached' | 'connecting' | 'offline' | 'refused' | 'resuming' | 'standby';

/** Answer of the gate. The set is closed because it is a metric label. */
export type GateAnswered = 'allowed' | 'changed' | 'failed' | 'refused' | 'rejected';

/** Purpose of a delivery: a push, a question to a business server before a push, or a request or message ordered by an answer. */
export type Purpose = 'ask' | 'message' | 'order' | 'push';

/** Reason why a request in an answer is not carried out. */
export type IgnoredReason = 'declined' | 'malformed' | 'too-deep' | 'truncated' | 'unknown-task';

/** Result of a question to a business server. `failed`: no valid answer. */
type AskResult = 'allowed' | 'failed' | 'withheld';

/** A delivery, with the packet and users by which an operator finds it. Users are shown only if the configuration or the token allows it. */
export type DeliverySubject = Pick<NewDelivery, 'facts' | 'handler' | 'host' | 'id' | 'packetId' | 'pool' | 'receiver' | 'sender'>;

export interface Events {
  /** A request in a backend's answer was not carried out. `declined`: its `success` was false. `too-deep`, `truncated`: it was not read. */
  'answer.ignored': { readonly id: DeliveryId; readonly pool: string; readonly handler: string; readonly reason: IgnoredReason };
  /** An archive no longer contains the last message that was read from it. Messages that it has since deleted were missed. */
  'archive.gap': { readonly attachment: string; readonly host: string };
  /**
   * A question to a business server has ended. `id`: its `operationID`. `reason`: why there is no valid answer; undefined if there
   * is one. `pushes`: the number of resulting pushes.
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
   * One attempt ended. `host`: the host of the packet. `reason`: why it was not accepted, otherwise empty; it may quote the error
   * text of a callback, so it is not logged.
   */
  'attempt.ended': {
    readonly purpose: Purpose;
    readonly attempt: number;
    readonly attemptsAllowed: number;
    readonly outcome: Outcome;
    /** The judgement of the handler's callbacks at delivery; undefined if it has none. */
    readonly judgement: Judgement | undefined;
    readonly accepted: boolean;
    readonly reason: string;
    /** Time from acceptance to the end of this attempt, ms. */
    readonly ageMs: number;
    /** Time of the next attempt; undefined if there is none. */
    readonly nextAt: EpochMs | undefined;
    /** Reason of the dead letter; undefined if the delivery is not dead. */
    readonly died: string | undefined;
  } & DeliverySubject;
  /**
   * A connection to a chat server, or a host's feed on it, changed its state. `host`: empty for the connection as a whole. `node`:
   * the server node (`xmpp://host:port`) if the attachment has several. `reason`: a text for operators.
   */
  'attachment.state': {
    readonly attachment: string;
    readonly host: string;
    readonly node?: string;
    readonly state: AttachmentState;
    readonly reason: string;
  };
  /** The backlog of a pool was full. `policy`: the treatment of the `count` deliveries that exceeded it. */
  'backlog.overflow': {
    readonly pool: string;
    readonly handler: string;
    readonly policy: 'dead-letter-oldest' | 'hold-intake' | 'refuse';
    readonly count: number;
  };
  /** A circuit breaker changed its state. `handler`: empty for the breaker of the whole pool. `reason`: a text for operators. */
  'breaker.state': { readonly pool: string; readonly handler: string; readonly state: BreakerState; readonly reason: string };
  /**
   * A callback on accept ended: one that runs in the service thread (`shouldMakeReq`, `prepareHeaders`, `prepareBody`, `gate`, and those of
   * exits), in contrast to the callbacks at delivery. `callback`: its name.
   */
  'callback.ended': { readonly handler: string; readonly callback: string; readonly durationMs: number };
  /** A callback on accept of a handler threw, rejected, returned an invalid value, missed its deadline or was skipped. The packet became a dead letter. */
  'callback.failed': { readonly handler: string; readonly callback: string; readonly packetId: PacketId; readonly error: Error };
  /** A reload was requested. `reason`: why the configuration was refused, or the changes. */
  'config.reload': { readonly result: 'applied' | 'refused' | 'restart'; readonly reason: string };
  /**
   * A listener refused `count` connections because of its own limit (`max-connections`), the process's limit of open files
   * (`open-files`), or another error of the system. `listener`: `admin`, `gate`, or an attachment.
   */
  'connection.refused': { readonly listener: string; readonly reason: string; readonly count: number };
  /** A delivery is on disk. */
  'delivery.accepted': DeliverySubject;
  /** A callback at delivery failed in a pool's thread. */
  'delivery.callback-failed': { readonly pool: string } & CallbackFailure;
  /** A pool has claimed deliveries: with the commit that stored them, with the one that freed their lane, or later from the spool. */
  'delivery.claimed': { readonly pool: string; readonly how: 'append' | 'next' | 'spool'; readonly count: number };
  /** A delivery that keeps failing left its lane, so that later deliveries can proceed. */
  'delivery.left-lane': { readonly id: DeliveryId; readonly pool: string; readonly handler: string };
  /** The disposition of a delivery is on disk. `reason`: of a dead letter. `ageMs`: time since acceptance. */
  'delivery.settled': {
    readonly purpose: Purpose;
    readonly disposition: DispositionKind;
    readonly reason: string;
    readonly ageMs: number;
  } & DeliverySubject;
  /** A request was ended by the return code of an exit, or by an error of an exit or program unit. `text`: the response to the client. */
  'exit.failed': {
    readonly attachment: string;
    readonly descriptor: string;
    readonly by: 'exit' | 'unit';
    readonly text: string;
    /** Undefined if the exit returned a code. */
    readonly error: Error | undefined;
  };
  /**
   * A chat server asked about a message. `failed`: no decision, so the chat server applies its own policy. `rejected`: the request
   * was invalid, for example without the token. `reason`: set for these two, otherwise empty.
   */
  'gate.answered': { readonly answer: GateAnswered; readonly reason: string; readonly durationMs: number };
  /** A `gate` callback threw, rejected, returned an invalid value, missed its deadline or was skipped. */
  'gate.failed': { readonly handler: string; readonly packetId: PacketId; readonly error: Error };
  /** The listener of the gate opened or closed. */
  'gate.listening': { readonly listening: boolean };
  /** A backend answered 429: the handler's deliveries to this pool wait until `until`. */
  'handler.paused': { readonly pool: string; readonly handler: string; readonly until: EpochMs };
  /** A JID could not be prepared and was passed on unchanged. */
  'jid.unprepared': { readonly attachment: string };
  /** A message for the operator, at level info by default. */
  notice: { readonly text: string; readonly level?: 'warn' };
  /** A stanza became a packet. */
  'packet.seen': { readonly attachment: string; readonly host: string; readonly direction: Direction; readonly event: PacketEvent };
  /**
   * A stanza or a posted message did not become a packet. `reason`: the `SkipReason` of the feed, of the account, or of the listener
   * that received it.
   */
  'packet.skipped': { readonly attachment: string; readonly host?: string; readonly reason: string };
  /** An operator paused or resumed a pool, or a handler of it; with an empty `handler`, the pool. */
  'pool.paused': { readonly pool: string; readonly handler: string; readonly paused: boolean };
  /** This machine or process lacks a descriptor, port or memory for a connection of the pool. `lasts`: the lack affected one more attempt. */
  'pool.shortage': { readonly pool: string; readonly state: 'began' | 'ended' | 'lasts'; readonly reason: string };
  /** A thread of a pool started, finished loading (`up`), or died for `reason` and is replaced. */
  'pool.thread': { readonly pool: string; readonly state: 'died' | 'started' | 'up'; readonly reason: string };
  /** A pool with free workers waited `waitMs` for its rate limit. */
  'pool.throttled': { readonly pool: string; readonly waitMs: number };
  /**
   * A packet is not pushed: a business server refused it, named no receiver, or gave no valid answer and the handler is configured to
   * refuse then. Code and texts are those of the server. Sender and receiver, as bare JIDs, are shown only to authorised clients.
   */
  'push.withheld': {
    readonly handler: string;
    readonly why: AskFailure | 'no-receiver' | 'refused';
    readonly errCode: number | null;
    readonly errMsg: string;
    readonly errDlt: string;
  } & Omit<NewDelivery, 'body' | 'handler' | 'lane' | 'target'>;
  /** All hosts are attached and the spool is writable for the first time. `admin`: the address of metrics and health. */
  ready: { readonly admin: string };
  /** Unhandled promise rejection in a callback module. */
  'rejection.stray': { readonly error: Error };
  /** A request to a listener failed because of a fault of the service and was answered with 500. */
  'request.failed': { readonly listener: string; readonly error: Error };
  /** A transaction of the spool is on disk. `commands`: the number of commands in it. */
  'spool.committed': { readonly durationMs: number; readonly commands: number };
  /** Undelivered events were deleted from the spool. */
  'spool.deleted': { readonly pool: string; readonly handler: string; readonly reason: DeletionReason; readonly count: number };
  /** The spool found at startup that its last commits may be lost. */
  'spool.loss': { readonly reason: string };
  /** Intake stopped or resumed. */
  'spool.writable': { readonly writable: boolean; readonly reason: string };
  /** Bytes were received from a chat server. */
  'stream.read': { readonly attachment: string; readonly bytes: number };
  /** The chat server lost `missing` packets before they were received; undefined: the whole queue, of unknown size (new epoch). */
  'tap.hole': { readonly attachment: string; readonly host: string; readonly missing: number | undefined };
  /**
   * A tap has sent `items` items before, but the spool has no mark for them: the spool is new or was lost, or another pusher received
   * them before this process started. Undelivered items may be lost.
   */
  'tap.mark-missing': { readonly attachment: string; readonly host: string; readonly items: number };
  /**
   * Fill level of a tap's queue. `stream` identifies it (host and node); at a `ratio` of 1 the tap drops items. `leftOut`: copies for absent
   * members that it has not made, because rooms had more members than its limit.
   */
  'tap.queue': {
    readonly attachment: string;
    readonly host: string;
    readonly stream: string;
    readonly items: number;
    readonly bytes: number;
    readonly ratio: number;
    readonly leftOut: number;
  };
  /** Another pusher received `items` items of a tap while this one stood by: they are in its spool. */
  'tap.taken-over': { readonly attachment: string; readonly host: string; readonly items: number };
  /** The OAuth 2.0 server of a pool gave an access token, or with a `reason`, none. */
  'token.answered': { readonly pool: string; readonly lifetimeMs: number; readonly reason: string };
}

/** `age`: `dead_letter_max_age`. `count`: `dead_letter_max`. By an operator: `drop` of waiting events, `erase`, `orphan-purge`, and `purge` of dead letters. */
export type DeletionReason = 'age' | 'count' | 'drop' | 'erase' | 'orphan-purge' | 'purge';

export type EventName = keyof Events;

/** Takes events. Emitting never throws, so a failing subscriber cannot affect the emitter. */
export interface EventSink {
  emit<N extends EventName>(name: N, event: Events[N]): void;
}

export interface EventBus extends EventSink {
  /** Calls `listener` for every event of this name; the returned function unsubscribes it. */
  on<N extends EventName>(name: N, listener: (event: Events[N]) => void): () => void;
  /** Resolves with the next event of this name that `matches`. */
  next<N extends EventName>(name: N, matches?: (event: Events[N]) => boolean): Promise<Events[N]>;
}

type AnyListener = (event: never) => void;

/** Calls listeners synchronously, in the order of subscription. Errors of a listener go to `onBroken`, never to the emitter. */
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

/** The fields of a delivery that identify it, without its content. */
export function subjectOf({ facts, handler, host, id, packetId, pool, receiver, sender }: DeliverySubject): DeliverySubject {
  return { facts, handler, host, id, packetId, pool, receiver, sender };
}
