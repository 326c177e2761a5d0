import { z } from 'zod';
import { createJidReader } from '../../packet/jid.ts';

/** The bare JID of a text in prepared form, in which the spool stores it. One that cannot be prepared is stored unchanged, and returned so. */
export function bareJidOf(text: string): string {
  return createJidReader({ size: 1 })(text).jid.bare;
}

const expected = 'a bare JID such as "bob@example.org"';

/** Without a resource, which an erasure would otherwise ignore: it would erase more than was given. */
export const bareJid = z
  .string({ error: expected })
  .regex(/^[^/]{1,3071}$/, { error: expected })
  .transform(bareJidOf);
