import type { Packet } from '../model/packet.ts';

/** What becomes of a message that a chat server holds. */
export type GateDecision =
  | { readonly kind: 'allowed' }
  /** It goes on with this text; see `with-body.ts`. */
  | { readonly kind: 'changed'; readonly body: string }
  /** Nobody can say: the chat server does what it was told to do then. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** It does not go on; the text is for its sender. */
  | { readonly kind: 'refused'; readonly text: string };

/** Decides about one held message. Never rejects. */
export type Decide = (packet: Packet) => Promise<GateDecision>;
