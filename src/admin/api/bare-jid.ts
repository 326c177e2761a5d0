import { z } from 'zod';
import { createJidReader } from '../../packet/jid.ts';

/** The bare JID in the prepared form in which the spool stores it. A JID that cannot be prepared is stored, and returned, unchanged. */
export function bareJidOf(text: string): string {
  return createJidReader({ size: 1 })(text).jid.bare;
}

const expected = 'a bare JID such as "bob@example.org"';

/** A JID with a resource is refused: an erasure would ignore the resource, and erase more than was asked for. */
export const bareJid = z
  .string({ error: expected })
  .regex(/^[^/]{1,3071}$/, { error: expected })
  .transform(bareJidOf);
