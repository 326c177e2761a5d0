import type { Stanza } from '../model/packet.ts';

/** A stanza's type as it counts: a message without one is `normal`, a presence without one `available` (RFC 6121 §5.2.2, §4.7.1). */
export function typeOf({ name, attrs }: Stanza): string {
  const type = attrs['type'];
  if (type !== undefined) return type;
  if (name === 'message') return 'normal';
  return name === 'presence' ? 'available' : '';
}
