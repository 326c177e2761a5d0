/**
 * Basic authentication (RFC 7617) for exits. A plain password, or one that was right before, is recognised at once. Anything
 * else costs a hash, of which few are computed at a time and few wait: strangers can fill the line, but never make it long.
 */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Credential, ScryptHash } from '../../../config/config.ts';
import { createDeferred, type Deferred } from '../../../kit/deferred.ts';
import { toError } from '../../../kit/errors.ts';

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** Where credentials come from. */
export interface Client {
  readonly address: string;
  /** Whether it has hung up. */
  gone(): boolean;
}

export type Proof = { readonly kind: 'known'; readonly user: string } | { readonly kind: 'unknown' } | { readonly kind: 'busy' };

/** Hashes computed at one time: each takes tens of milliseconds and MiB, in threads that the rest of the service needs too. */
const maxComputing = 2;
/** Hashes that wait, in all and for one address. */
const maxWaiting = 32;
const maxWaitingForAddress = 8;

/** Undefined: the header offers no credentials. */
export function readBasic(header = ''): BasicCredentials | undefined {
  const offered = /^Basic +([\w+/=-]+) *$/i.exec(header)?.[1];
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(offered ?? '', 'base64').toString()) ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** What was proven is remembered as a digest under a key of this process: a user costs one hash, not one for each request. */
export class Authenticator {
  readonly #known: ReadonlyMap<string, Credential>;
  /** Checked where the user is unknown or has no hash: how long a wrong answer takes does not show what was wrong. */
  readonly #decoy: ScryptHash | undefined;
  readonly #proven = new Map<string, Buffer>();
  readonly #key = randomBytes(32);
  readonly #line = new HashLine();

  constructor(users: readonly Credential[]) {
    this.#known = new Map(users.map((credential) => [credential.user, credential]));
    this.#decoy = users.flatMap((credential) => (credential.kind === 'scrypt' ? [credential.hash] : []))[0];
  }

  /** Whether these are right, as far as that can be said without computing a hash. */
  recognises({ user, password }: BasicCredentials): boolean {
    const credential = this.#known.get(user);
    if (credential?.kind === 'plain') return credential.password.matches(password);
    const proven = this.#proven.get(user);
    return proven !== undefined && timingSafeEqual(proven, this.#digest(password));
  }

  /** Computes a hash, where any user has one. `busy`: too many wait for theirs, or the client has gone. */
  async prove({ user, password }: BasicCredentials, client: Client): Promise<Proof> {
    const credential = this.#known.get(user);
    const hash = credential?.kind === 'scrypt' ? credential.hash : this.#decoy;
    if (hash === undefined) return { kind: 'unknown' };

    const digest = this.#digest(password);
    const isOwn = credential?.kind === 'scrypt';
    const name = `${isOwn ? user : ''}:${digest.toString('base64')}`; // a base64 text has no colon
    const matches = await this.#line.compute({ name, client, hash, password });
    if (matches === undefined) return { kind: 'busy' };
    if (!matches || !isOwn) return { kind: 'unknown' };
    this.#proven.set(user, digest);
    return { kind: 'known', user };
  }

  #digest(password: string): Buffer {
    return createHmac('sha256', this.#key).update(password).digest();
  }
}

interface Question {
  /** The same for the same credentials: they are checked once for all who offer them at the same time. */
  readonly name: string;
  readonly client: Client;
  readonly hash: ScryptHash;
  readonly password: string;
}

interface Job extends Question {
  /** All who wait for it. */
  readonly clients: Client[];
  readonly done: Deferred<boolean | undefined>;
  computing: boolean;
}

/** Computes few hashes at a time, in the order of their questions; a bounded number waits, and none is computed for clients that have gone. */
class HashLine {
  readonly #jobs = new Map<string, Job>();

  /** Undefined: it is not computed. */
  compute(question: Question): Promise<boolean | undefined> {
    const same = this.#jobs.get(question.name);
    if (same !== undefined) {
      same.clients.push(question.client);
      return same.done.promise;
    }
    if (!this.#hasRoom(question.client.address)) return Promise.resolve(undefined);
    const job: Job = { ...question, clients: [question.client], done: createDeferred(), computing: false };
    this.#jobs.set(job.name, job);
    this.#begin();
    return job.done.promise;
  }

  #hasRoom(address: string): boolean {
    for (const job of this.#waiting()) if (isAbandoned(job)) this.#end(job, undefined);
    const waiting = this.#waiting();
    return waiting.length < maxWaiting && waiting.filter(({ client }) => client.address === address).length < maxWaitingForAddress;
  }

  #waiting(): Job[] {
    return [...this.#jobs.values()].filter(({ computing }) => !computing);
  }

  #begin(): void {
    for (const job of this.#waiting()) {
      if (isAbandoned(job)) this.#end(job, undefined);
      else if (this.#jobs.size - this.#waiting().length < maxComputing) void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    job.computing = true;
    try {
      this.#end(job, await hashMatches(job.hash, job.password));
    } catch (thrown) {
      this.#jobs.delete(job.name);
      job.done.reject(toError(thrown));
    }
    this.#begin();
  }

  #end(job: Job, matches: boolean | undefined): void {
    this.#jobs.delete(job.name);
    job.done.resolve(matches);
  }
}

function isAbandoned({ clients }: Job): boolean {
  return clients.every((client) => client.gone());
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
