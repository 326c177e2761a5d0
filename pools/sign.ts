/**
 * Signs requests as Standard Webhooks 1.0.0 demands: HMAC-SHA256 over `id.timestamp.body`, with one signature for each key, so that
 * a receiver may know the old or the new key while keys are exchanged.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { Job, SigningKeys } from './contract.ts';

const SIGNATURE = 'webhook-signature';
const TIMESTAMP = 'webhook-timestamp';

/** The part of a job that is signed. */
type Signable = Pick<Job, 'body' | 'signer'> & { readonly id: string };

/** Signs with the keys of the pool, or with those of the job's handler if it has any. */
export class Signer {
  readonly #ofPool: readonly KeyObject[];
  readonly #ofHandlers: ReadonlyMap<string, readonly KeyObject[]>;

  constructor({ ofPool, ofHandlers }: SigningKeys) {
    this.#ofPool = ofPool.map(readKey);
    this.#ofHandlers = new Map(ofHandlers.map(([name, keys]) => [name, keys.map(readKey)]));
  }

  /** Adds the signatures to the headers of an attempt (names and values, flat). A callback's own would make them ambiguous. */
  sign({ id, body, signer = '' }: Signable, headers: string[]): string[] {
    const keys = this.#ofHandlers.get(signer) ?? this.#ofPool;
    if (keys.length === 0) return headers;
    const head = `${id}.${timestampIn(headers)}.`;
    return [...without(SIGNATURE, headers), SIGNATURE, keys.map((key) => signatureOf(head, body, key)).join(' ')];
  }
}

/** The key of a text `whsec_…`, which the configuration has checked. */
function readKey(text: string): KeyObject {
  return createSecretKey(text.slice('whsec_'.length), 'base64');
}

/** Text is signed as UTF-8, as it is sent. */
function signatureOf(head: string, body: Job['body'], key: KeyObject): string {
  return `v1,${createHmac('sha256', key).update(head).update(body).digest('base64')}`;
}

/** Handlers cannot set this header, so it is the one of the attempt. */
function timestampIn(headers: readonly string[]): string {
  for (let index = 0; index < headers.length; index += 2) if (headers[index] === TIMESTAMP) return headers[index + 1] ?? '';
  throw new Error(`a request without ${TIMESTAMP} cannot be signed`);
}

/** Headers (names and values, flat) except those of this name, which is in lower case. */
export function without(name: string, headers: readonly string[]): string[] {
  return headers.filter((_text, index) => headers[index - (index % 2)]?.toLowerCase() !== name);
}
