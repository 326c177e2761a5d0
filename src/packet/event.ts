import type { PacketEvent, Stanza } from '../model/packet.ts';

/** What a feed may tell with a stanza that is not passing by: see {@link PacketEvent}. */
export type Report = 'status' | 'unack';

/** What happens when a stanza passes by; a message's type that is missing or unknown counts as `normal` (RFC 6121 §5.2.2). */
export function eventOf({ name, attrs }: Stanza): Exclude<PacketEvent, Report> {
  if (name === 'iq' || name === 'presence') return name;
  switch (attrs['type']) {
    case 'chat':
    case 'error':
    case 'groupchat':
    case 'headline':
      return attrs['type'];
    default:
      return 'normal';
  }
}

/** Whether a packet reports on a user or a client: only those who ask for that by its name are meant to meet it. */
export function isReport(event: PacketEvent): event is Report {
  return event === 'status' || event === 'unack';
}
