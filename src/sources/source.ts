import type { Lifecycle } from '../kit/lifecycle.ts';
import type { OutgoingMessage, SendResult } from '../model/delivery.ts';
import type { Accept, Packet, Receipt, Stanza, Subscription } from '../model/packet.ts';

/** Where packets come from. A started source attaches and stays attached; a stopped source hands over nothing more. */
export interface Source extends Lifecycle {
  readonly name: string;
  /** Sends messages to users; undefined if the source cannot send. */
  readonly outbox?: Outbox;
  /** Bytes handed over and not yet on disk. */
  readonly uncommittedBytes: number;
  /** Replaces the set of stanzas that the handlers use. A source that can choose asks the chat server for these only. */
  resubscribe(subscription: Subscription): void;
}

/** Sends chat messages through an attachment. The feeds recognise these messages and never push them. */
export interface Outbox {
  /**
   * Waits while the attachment is offline, and repeats unconfirmed messages on each new connection, for at most
   * `withinMs` in total (default {@link defaultSendMs}). Messages leave in the order of the calls. Never rejects.
   */
  send(message: OutgoingMessage, options?: { readonly withinMs?: number }): Promise<SendResult>;
}

export const defaultSendMs = 10_000;

interface FlowOptions {
  readonly maxBytes: number;
  /** Called when more than `maxBytes` are uncommitted: stop reading. */
  readonly onStop?: () => void;
  /** Called when uncommitted bytes have fallen to half of `maxBytes`: read again. */
  readonly onResume?: () => void;
}

/** Hands packets over, counts the bytes that are not on disk yet, and stops reading before they exceed the memory limit. */
export class Flow {
  readonly #accept: Accept;
  readonly #options: FlowOptions;
  #uncommittedBytes = 0;
  #stopped = false;

  constructor(accept: Accept, options: FlowOptions) {
    this.#accept = accept;
    this.#options = options;
  }

  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }

  /** Whether reading is stopped. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Hands a packet over. Its bytes count until {@link committed} is called with the same number. */
  hand(packet: Packet | undefined, receipt: Receipt, bytes: number): void {
    this.#add(bytes);
    this.#accept(packet, receipt);
  }

  committed(bytes: number): void {
    this.#add(-bytes);
  }

  #add(bytes: number): void {
    const { maxBytes, onStop, onResume } = this.#options;
    this.#uncommittedBytes += bytes;
    if (!this.#stopped && this.#uncommittedBytes > maxBytes) {
      this.#stopped = true;
      onStop?.();
    } else if (this.#stopped && this.#uncommittedBytes <= maxBytes / 2) {
      this.#stopped = false;
      onResume?.();
    }
  }
}

/**
 * Whether the pusher itself has sent a stanza, through any of its attachments. Such a stanza is never pushed: a message that
 * an answer orders would otherwise cause a push, and so another message, without end. `from` replaces a missing address.
 */
export type IsOwn = (stanza: Stanza, from?: string) => boolean;
