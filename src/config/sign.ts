import { Secret } from '../kit/secret.ts';
import { listOf, oneOf, section, text } from './values.ts';

const keyExpected = '"whsec_" followed by the base64 of 24 to 64 random bytes, as of "event-pusher keys generate"';

/** A key of Standard Webhooks. Only canonical base64 is accepted, because libraries of receivers differ in how they read any other. */
const signingKey = text.refine(isSigningKey, { error: keyExpected });

/** Receivers try every signature, and a header has limits. */
const maxKeys = 10;

const keys = listOf(signingKey, 'a list of signing keys')
  .refine((list) => list.length <= maxKeys, { error: `at most ${maxKeys} signing keys` })
  .refine((list) => new Set(list).size === list.length, { error: 'each signing key once' })
  .transform((list) => list.map((key) => new Secret(key)));

/** `sign` of a pool or a handler: Standard Webhooks 1.0.0. Every key signs. */
export const signSchema = section(
  { scheme: oneOf(['standard-webhooks']).default('standard-webhooks'), keys },
  'a table such as { scheme = "standard-webhooks", keys = ["whsec_…"] }',
);

/** Whether a text is a key of Standard Webhooks 1.0.0. */
export function isSigningKey(value: string): boolean {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(value) ?? [];
  if (base64 === undefined) return false;
  const bytes = Buffer.from(base64, 'base64');
  return bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === base64;
}
