import { Secret } from '../kit/secret.ts';

/** A user's name with the password, or what scrypt (RFC 7914) made of it. */
export type Credential =
  | { readonly kind: 'plain'; readonly user: string; readonly password: Secret }
  | { readonly kind: 'scrypt'; readonly user: string; readonly hash: ScryptHash };

export interface ScryptHash {
  /** The cost N is 2 to the power of this. */
  readonly log2Cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  /** Base64. */
  readonly salt: string;
  /** Base64. */
  readonly key: Secret;
}

/** What one check of a password may take, bytes (128 × N × r). */
const maxMemoryBytes = 128 * 1024 * 1024;

/**
 * Reads a password as it is configured: `$scrypt$ln=15,r=8,p=1$SALT$KEY`, both in base64 without padding, or anything else
 * as the password itself. Undefined: it begins as a hash and is none, or costs too much.
 */
export function readCredential(user: string, written: string): Credential | undefined {
  if (!written.startsWith('$scrypt$')) return { kind: 'plain', user, password: new Secret(written) };

  const [, ln = '', r = '', p = '', salt = '', key = ''] =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,2})\$([\w+/-]+)\$([\w+/-]{22,})$/.exec(written) ?? [];
  const [log2Cost, blockSize, parallelization] = [Number(ln), Number(r), Number(p)];
  const costsTooMuch = 128 * 2 ** log2Cost * blockSize > maxMemoryBytes || parallelization > 16;
  if (key === '' || log2Cost < 1 || blockSize < 1 || parallelization < 1 || costsTooMuch) return undefined;
  const hash = { log2Cost, blockSize, parallelization, salt, key: new Secret(key) };
  return { kind: 'scrypt', user, hash };
}
