import type { EpochMs } from '../kit/clock.ts';
import type { PacketId } from './packet.ts';

/** Names one delivery for ever; sent as `webhook-id`. Time-ordered, without `.` (Standard Webhooks 1.0.0). */
export type DeliveryId = string & { readonly __brand: 'DeliveryId' };

/** The variables of a message context: kept over attempts, and logged. */
export type ContextVariables = Readonly<Record<string, string>>;

/** What a delivery is for. The engines keep it as it is and never look inside: a new kind needs no new schema. */
export type Target = HttpTarget | XmppTarget;

/** A delivery as it is handed to the spool. */
export interface NewDelivery<T extends Target = Target> extends QueueName {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly host: string;
  /** Deliveries of one lane are claimed one after the other; null: it waits for nobody. */
  readonly lane: string | null;
  /** Bare JIDs, so that a person's rows can be found. */
  readonly sender: string;
  readonly receiver: string;
  readonly target: T;
  readonly body: Body;
  /** When the stanza was seen. */
  readonly seenAt: EpochMs;
  /** When it was accepted. */
  readonly createdAt: EpochMs;
}

/** One that is a request. */
export type NewRequest = NewDelivery<HttpTarget>;

/** One queue. */
export interface QueueName {
  readonly pool: string;
  readonly handler: string;
}

/** A delivery that is in this process's hands until it is settled. */
export interface Claimed extends NewDelivery {
  /** Its place in the spool; later is larger. Names the row in `settle`. */
  readonly seq: number;
  /** Attempts already spent. */
  readonly attempts: number;
  /** When its first attempt failed; undefined before. Decides when it leaves its lane (`hold`). */
  readonly failingSince: EpochMs | undefined;
  /** What the callbacks at delivery left in the message context at the attempt before. */
  readonly context: ContextVariables;
}

/** A header as it goes on the wire. */
export type HeaderPair = readonly [name: string, value: string];

/** A request body: text is sent as UTF-8. */
export type Body = string | Uint8Array;

/** What a delivery asks for. Frozen when the packet is accepted; the origin is the pool's at each attempt. */
export interface HttpTarget {
  readonly kind: 'http';
  readonly method: string;
  /** Path and query on the pool's origin, prefix included. */
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  /** The stanza as XML, kept only where the handler's module has callbacks at delivery. */
  readonly stanza?: string;
  /** Absent for a push. */
  readonly purpose?: RequestPurpose;
  /** What a business server answered when it was asked about this push; absent where none was asked. */
  readonly answered?: Answered;
}

/** What lets a push go that a business server was asked about. Kept with the push: its retries do not ask again. */
export type Answered =
  /** `userIDList` (for a push: its own entry) and `offlinePushInfo` of the answer; undefined if the answer has none. */
  | {
      readonly kind: 'allowed';
      readonly userIDList: readonly string[] | undefined;
      readonly offlinePushInfo: OfflinePushInfo | undefined;
    }
  /** No answer that counts: it is pushed as if nobody had been asked. */
  | { readonly kind: 'failed'; readonly reason: AskFailure };

/**
 * Why an answer does not count: `actionCode` is not 0, it is none or not as it should be, its status is no 2xx, the connection
 * broke, the server was not asked since its circuit breaker is open, it did not answer in time, it was not there.
 */
export type AskFailure = 'action-code' | 'bad-answer' | 'bad-status' | 'broken' | 'not-asked' | 'timed-out' | 'unreachable';

/** What a business server wants a push to say. */
export type OfflinePushInfo = Readonly<Record<string, unknown>>;

/**
 * The purpose of a request other than a push. An *ask* puts a question about a packet to a business server: its answer decides what is
 * pushed. An *order* is a request that a backend's answer ordered: it goes to an origin of its own.
 */
export type RequestPurpose =
  /** `handler`: whose pushes wait for it. `packet`: the whole packet as JSON text, from which they are prepared once the answer is there. */
  | { readonly kind: 'ask'; readonly handler: string; readonly packet: string }
  /**
   * `origin`: scheme, host and port. `depth`: 1 for what the answer to a push ordered, 2 for what the answer to that ordered, …
   * `fault`: which rule it breaks, so that it is never sent; its origin is empty then.
   */
  | { readonly kind: 'order'; readonly origin: string; readonly depth: number; readonly fault?: string };

/** A chat message to a user, which an answer ordered; its text is the delivery's body. */
export interface XmppTarget {
  readonly kind: 'xmpp';
  /** Bare JID that it comes from; undefined: the attachment's own. */
  readonly from: string | undefined;
  /** A JID. */
  readonly to: string;
  /** Why it cannot be sent: `to` is what the answer said, and no JID. */
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

/** Where an ordered request goes, and what says whether it may go there. */
export interface Destination extends Pick<Extract<RequestPurpose, { kind: 'order' }>, 'fault' | 'origin'> {
  /** A host, `*.suffix`, an address or a CIDR, each with an optional `:port`. */
  readonly allow: readonly string[];
  /** The origin of the pool of the handler whose backend ordered it. */
  readonly ownOrigin: string;
}
