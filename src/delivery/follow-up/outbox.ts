/** A chat message to a user, on its way out. */
export interface OutgoingMessage {
  /** Bare JID; undefined: the attachment's own. */
  readonly from: string | undefined;
  readonly to: string;
  readonly body: string;
  /** The stanza's id: the delivery's, so that a message that is sent again is known again. */
  readonly id: string;
}

/** Refused: it never will be sent, for the `reason`. */
export type Handed = { readonly kind: 'refused'; readonly reason: string } | { readonly kind: 'sent' };

/** The way out through an attachment. Resolves when the chat server has the message; waits while the attachment is offline. */
export interface Outbox {
  send(message: OutgoingMessage, options: { readonly signal: AbortSignal }): Promise<Handed>;
}
