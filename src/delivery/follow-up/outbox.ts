import type { OutgoingMessage } from '../../model/delivery.ts';

/** Refused: it never will be sent, for the `reason`. */
export type Handed = { readonly kind: 'refused'; readonly reason: string } | { readonly kind: 'sent' };

/** The way out through an attachment. Resolves when the chat server has the message; waits while the attachment is offline. */
export interface Outbox {
  send(message: OutgoingMessage, options: { readonly signal: AbortSignal }): Promise<Handed>;
}
