/** What a chat message out of here says. Its id is the sender's to choose: sent again after a crash, it is the same. */
export interface OutgoingMessage {
  readonly id: string;
  /** A JID of ours; undefined: the attachment's own. */
  readonly from?: string | undefined;
  readonly to: string;
  readonly body: string;
}

/** What became of it. */
export type Sent =
  /** The chat server has taken it: a ping that was sent after it on the same stream is answered. */
  | { readonly kind: 'sent' }
  /** It cannot be sent, or the chat server has sent it back: `reason` is for people. Nothing else will come of it. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It was sent at least once, but that it arrived is not known. */
  | { readonly kind: 'unconfirmed' }
  /** It never left: there was no connection in time, or too many wait. */
  | { readonly kind: 'unsent' };

/** Sends chat messages through an attachment. What is sent bears a mark, and is never pushed. */
export interface Outbox {
  /**
   * Waits while the attachment is offline, and sends again on each new connection what the last has not confirmed, all for
   * `withinMs` at most (default 10 s). Messages leave in the order of the calls. Never rejects.
   */
  send(message: OutgoingMessage, options?: { readonly withinMs?: number }): Promise<Sent>;
}
