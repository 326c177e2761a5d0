import type { Stanza } from '../model/packet.ts';

/** Where messages go out to users. */
export interface MessageOutlet {
  /**
   * Sends a message, now or when there is a connection again; it is marked, so that no feed pushes it. Resolves when the
   * server has taken it over. Rejects with OUTBOX_FULL when too many wait, and with OUTBOX_CLOSED when the source stops
   * before that: it may have arrived all the same. A connection that breaks in between may make the server see it twice,
   * under the same `id`.
   */
  send(message: Stanza): Promise<void>;
}
