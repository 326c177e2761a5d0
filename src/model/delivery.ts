/** The nouns between hooks and pools: a delivery, its queue, the request or message that it sends, and the answer of a business server. */
import type { EpochMs } from '../kit/clock.ts';
import type { PacketFacts, PacketId } from './packet.ts';

/** Identifies one delivery for good; sent as `webhook-id`. Ordered by time, without `.` (Standard Webhooks 1.0.0). */
export type DeliveryId = string & { readonly __brand: 'DeliveryId' };

/** Variables that the callbacks at delivery keep from one attempt to the next (Momentum's message context). They are logged. */
export type ContextVariables = Readonly<Record<string, string>>;

/** Content of a delivery. The spool stores it unread, so a new kind needs no change of its schema. */
export type Target = HttpTarget | XmppTarget;

/** A delivery on its way into the spool. */
export interface NewDelivery<T extends Target = Target> extends QueueName {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  /** By which an operator finds it; undefined if it was stored before they were kept. */
  readonly facts: PacketFacts | undefined;
  /** The virtual host of the packet, not the host of the backend. */
  readonly host: string;
  /** Deliveries of one lane are claimed one after another; null: the delivery waits for no other. */
  readonly lane: string | null;
  /** Sender and receiver as bare JIDs, so that an operator can find the deliveries of a user. */
  readonly sender: string;
  readonly receiver: string;
  readonly target: T;
  readonly body: Body;
  /** Time at which the stanza was seen. */
  readonly seenAt: EpochMs;
  /** Time at which the delivery was accepted. */
  readonly createdAt: EpochMs;
}

/** A new delivery that sends an HTTP request. */
export type NewRequest = NewDelivery<HttpTarget>;

/** Identifies a queue: one handler on one pool. */
export interface QueueName {
  readonly pool: string;
  readonly handler: string;
}

/** A delivery that this process has claimed from the spool and has to settle. */
export interface Claimed extends NewDelivery {
  /** Row number in the spool, ascending by age; `settle` addresses the row by it. */
  readonly seq: number;
  /** Number of attempts already made. */
  readonly attempts: number;
  /** Time of the first failed attempt; undefined before one. Determines when the delivery leaves its lane (`hold`). */
  readonly failingSince: EpochMs | undefined;
  /** Message context that the callbacks at delivery left after the previous attempt. */
  readonly context: ContextVariables;
}

/** A header in its form on the wire. */
export type HeaderPair = readonly [name: string, value: string];

/** A request body. Text is sent as UTF-8. */
export type Body = string | Uint8Array;

/** An HTTP request, fixed when the packet is accepted. The origin is that of the pool at the time of each attempt. */
export interface HttpTarget {
  readonly kind: 'http';
  readonly method: string;
  /** Path and query on the pool's origin, including the pool's prefix. */
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  /** The stanza as XML; stored only if the handler's module has delivery callbacks. */
  readonly stanza?: string;
  /** Absent for a push. */
  readonly purpose?: RequestPurpose;
  /** Answer of the business server that was asked about this push; absent if none was asked. */
  readonly answered?: Answered;
}

/** Result of the question that preceded a push; not to be confused with the outcome `answered` of a request. It is stored with the push, so that retries do not ask again. */
export type Answered =
  /** `userIDList` (reduced to the receiver of this push) and `offlinePushInfo` of the answer; undefined if the answer has none. */
  | {
      readonly kind: 'allowed';
      readonly userIDList: readonly string[] | undefined;
      readonly offlinePushInfo: OfflinePushInfo | undefined;
    }
  /** No valid answer: the push is sent as if no server had been asked. */
  | { readonly kind: 'failed'; readonly reason: AskFailure };

/**
 * Reason why a question has no valid answer. `action-code`: `actionCode` is not 0. `bad-answer`: missing or malformed body.
 * `bad-status`: not 2xx. `broken`: the connection broke, or no request could be made. `not-asked`: the circuit breaker is open. `timed-out`: no answer in time.
 * `unreachable`: no connection.
 */
export type AskFailure = 'action-code' | 'bad-answer' | 'bad-status' | 'broken' | 'not-asked' | 'timed-out' | 'unreachable';

/** Push content that a business server supplied. */
export type OfflinePushInfo = Readonly<Record<string, unknown>>;

/**
 * Purpose of a request other than a push. An *ask* puts a question about a packet to a business server, whose answer decides
 * about pushes. An *order* is a request that the answer of a backend ordered; it goes to an origin of its own.
 */
export type RequestPurpose =
  /** `handler`: its pushes wait for the answer. `packet`: the whole packet as JSON text, from which the pushes are then prepared. */
  | { readonly kind: 'ask'; readonly handler: string; readonly packet: string }
  /**
   * `origin`: scheme, host and port. `depth`: 1 for an order in the answer to a push, 2 for one in the answer to that order, and
   * so on. `fault`: the rule that it violates; such a request is never sent, and its origin is empty.
   */
  | { readonly kind: 'order'; readonly origin: string; readonly depth: number; readonly fault?: string };

/** A chat message to a user, ordered by the answer of a backend. The text is the body of the delivery. */
export interface XmppTarget {
  readonly kind: 'xmpp';
  /** Bare JID of the sender; undefined: the attachment's own. */
  readonly from: string | undefined;
  /** JID of the receiver. */
  readonly to: string;
  /** Reason why the message cannot be sent: `to` is not a JID and is stored as received. */
  readonly fault?: string;
  readonly purpose?: undefined;
}

/** A chat message to a user, sent through an attachment. */
export interface OutgoingMessage {
  /** The stanza's id, chosen by the sender: a message that is repeated after a crash has the same id. */
  readonly id: string;
  /** A JID of ours; undefined: the attachment's own. */
  readonly from?: string | undefined;
  readonly to: string;
  readonly body: string;
}

/** Result of sending a message. */
export type SendResult =
  /** The chat server has accepted it: a ping that was sent after it on the same stream is answered. */
  | { readonly kind: 'sent' }
  /** It cannot be sent, or the chat server returned it: `reason` is a text for operators. Final. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It was sent at least once; its arrival is unknown. */
  | { readonly kind: 'unconfirmed' }
  /** It was never sent: there was no connection in time, or too many messages wait. */
  | { readonly kind: 'unsent' };

/** Destination of an ordered request, and the rules that allow or refuse it. */
export interface Destination extends Pick<Extract<RequestPurpose, { kind: 'order' }>, 'fault' | 'origin'> {
  /** Host names, `*.suffix`, addresses or CIDR blocks, each with an optional `:port`. */
  readonly allow: readonly string[];
  /** Origin of the pool of the handler whose backend ordered the request. */
  readonly ownOrigin: string;
}
