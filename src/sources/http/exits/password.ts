import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Credential, ScryptHash } from '../../../config/config.ts';
import { Secret } from '../../../kit/secret.ts';

/** Gives the user of an `Authorization` header (Basic, RFC 7617) if the password is right. */
export type Authenticate = (header: string | undefined) => Promise<string | undefined>;

/** So many hashes are computed at once: each takes some tens of milliseconds and MiB, and the rest of the service waits for none. */
const maxComputing = 2;

/**
 * How long a wrong name or password takes tells nothing of which it was. What was right once is remembered, as a digest
 * under a key of this process, so that a hash is computed once for each user and not for each request.
 */
export function createAuthenticate(users: readonly Credential[]): Authenticate {
  const known = new Map(users.map((credential) => [credential.user, credential]));
  const nobody: Credential = users.find(({ kind }) => kind === 'scrypt') ?? { kind: 'plain', user: '', password: new Secret('') };
  const proven = new Map<string, Buffer>();
  const key = randomBytes(32);
  const compute = createLine(maxComputing);

  async function isRight(credential: Credential, password: string): Promise<boolean> {
    if (credential.kind === 'plain') return credential.password.matches(password);
    const digest = createHmac('sha256', key).update(password).digest();
    const before = proven.get(credential.user);
    if (before !== undefined && timingSafeEqual(before, digest)) return true;
    const right = await compute(() => hashMatches(credential.hash, password));
    if (right) proven.set(credential.user, digest);
    return right;
  }

  return async (header = '') => {
    const offered = /^Basic +([\w+/=-]+) *$/i.exec(header)?.[1];
    if (offered === undefined) return undefined;
    const [, user = '', password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(offered, 'base64').toString()) ?? [];
    const credential = known.get(user);
    const right = await isRight(credential ?? nobody, password);
    return right && credential !== undefined ? user : undefined;
  };
}

function hashMatches({ log2Cost, blockSize, parallelization, salt, key }: ScryptHash, password: string): Promise<boolean> {
  const expected = Buffer.from(key.reveal(), 'base64');
  const cost = 2 ** log2Cost;
  const options = { N: cost, r: blockSize, p: parallelization, maxmem: 256 * cost * blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, Buffer.from(salt, 'base64'), expected.length, options, (error, computed) => {
      if (error === null) resolve(timingSafeEqual(computed, expected));
      else reject(error);
    });
  });
}

/** Lets so many go at once; the others wait their turn. */
function createLine(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = places;

  return async (work) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free -= 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
