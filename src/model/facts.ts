import type { Kind, PacketFacts } from './packet.ts';

/** `messageId`: the attribute `id` of the stanza. `stanzaId`: its archive id. Null if there is none, or it is unknown. */
export interface ReadFacts {
  readonly kind: Kind | null;
  readonly messageId: string | null;
  readonly stanzaId: string | null;
}

export function readFacts(facts: PacketFacts | null | undefined): ReadFacts {
  const [kind, messageId, stanzaId] = facts ? (JSON.parse(facts) as [Kind, string | null, string | null]) : [null, null, null]; // written by `factsOf` alone
  return { kind, messageId, stanzaId };
}
