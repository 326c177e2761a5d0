/**
 * Basic authentication (RFC 7617) for exits. A plain password, or one that was verified before, is recognised at once. All others
 * need a hash. Few hashes are computed at a time and few wait, so unauthenticated clients cannot cause a long queue.
 */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Credential, ScryptHash } from '../../../config/service-config.ts';
import { toError } from '../../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../../kit/lifecycle.ts';
import { readBasic } from '../../../kit/request-guard.ts';

interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** The client that offers credentials. */
export interface Client {
  readonly address: string;
  /** Whether the client has disconnected. */
  gone(): boolean;
}

type Proof = { readonly kind: 'known'; readonly user: string } | { readonly kind: 'unknown' } | { readonly kind: 'busy' };

/** Concurrent hashes: each takes tens of milliseconds and MiB, in threads that the rest of the service needs too. */
const maxComputing = 2;
/** Maximum number of waiting hashes, in total and per address. */
const maxWaiting = 32;
const maxWaitingForAddress = 8;

/** Undefined: the header offers no credentials. */
export function readCredentials(header: string | undefined): BasicCredentials | undefined {
  const [, user, password] = /^([^:]*):(.*)$/s.exec(readBasic(header) ?? '') ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** Verified credentials are kept as a digest under a key of this process, so each user needs one hash and not one per request. */
export class Authenticator {
  readonly #known: ReadonlyMap<string, Credential>;
  /** Checked if the user is unknown or has no hash, so that the response time does not reveal which users exist. */
  readonly #decoy: ScryptHash | undefined;
  readonly #proven = new Map<string, Buffer>();
  readonly #key = randomBytes(32);
  readonly #hashes = new HashQueue();

  constructor(users: readonly Credential[]) {
    this.#known = new Map(users.map((credential) => [credential.user, credential]));
    this.#decoy = users.flatMap((credential) => (credential.kind === 'scrypt' ? [credential.hash] : []))[0];
  }

  /** Whether the credentials are correct, as far as this is known without a hash. */
  recognises({ user, password }: BasicCredentials): boolean {
    const credential = this.#known.get(user);
    if (credential?.kind === 'plain') return credential.password.matches(password);
    const proven = this.#proven.get(user);
    return proven !== undefined && timingSafeEqual(proven, this.#digest(password));
  }

  /** Computes a hash if any user has one. `busy`: too many are waiting, or the client has disconnected. */
  async prove({ user, password }: BasicCredentials, client: Client): Promise<Proof> {
    const credential = this.#known.get(user);
    const hash = credential?.kind === 'scrypt' ? credential.hash : this.#decoy;
    if (hash === undefined) return { kind: 'unknown' };

    const digest = this.#digest(password);
    const isOwn = credential?.kind === 'scrypt';
    const name = `${isOwn ? user : ''}:${digest.toString('base64')}`; // a base64 text has no colon
    const matches = await this.#hashes.compute({ name, client, hash, password });
    if (matches === undefined) return { kind: 'busy' };
    if (!matches || !isOwn) return { kind: 'unknown' };
    this.#proven.set(user, digest);
    return { kind: 'known', user };
  }

  #digest(password: string): Buffer {
    return createHmac('sha256', this.#key).update(password).digest();
  }
}

interface HashRequest {
  /** Concurrent requests with the same credentials share one check. */
  readonly name: string;
  readonly client: Client;
  readonly hash: ScryptHash;
  readonly password: string;
}

interface Job extends HashRequest {
  /** All clients that wait for this hash. */
  readonly clients: Client[];
  readonly done: Deferred<boolean | undefined>;
  computing: boolean;
}

/** Computes few hashes at a time, in the order of requests. The queue is bounded, and hashes of disconnected clients are skipped. */
class HashQueue {
  readonly #jobs = new Map<string, Job>();

  /** Undefined: the hash was not computed. */
  compute(request: HashRequest): Promise<boolean | undefined> {
    const same = this.#jobs.get(request.name);
    if (same !== undefined) {
      same.clients.push(request.client);
      return same.done.promise;
    }
    if (!this.#hasCapacity(request.client.address)) return Promise.resolve(undefined);
    const job: Job = { ...request, clients: [request.client], done: createDeferred(), computing: false };
    this.#jobs.set(job.name, job);
    this.#begin();
    return job.done.promise;
  }

  #hasCapacity(address: string): boolean {
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
