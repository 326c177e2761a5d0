import { ServiceError } from '../../kit/errors.ts';

/** The beginning of an element whose end is still to come, in at most `maxBytes`. Throws STANZA_TOO_LARGE. */
export class Held {
  readonly #maxBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(part: Buffer): void {
    this.#check(part);
    this.#grow(this.#length + part.length);
    part.copy(this.#bytes, this.#length);
    this.#length += part.length;
  }

  /** What is held with `part` after it: `part` itself when nothing is held. Nothing is held afterwards. */
  join(part: Buffer): Buffer {
    this.#check(part);
    if (this.#length === 0) return part;
    const whole = Buffer.concat([this.#bytes.subarray(0, this.#length), part]);
    this.clear();
    return whole;
  }

  clear(): void {
    this.#length = 0;
    this.#bytes = Buffer.alloc(0);
  }

  #check(part: Buffer): void {
    if (this.#length + part.length <= this.#maxBytes) return;
    const limit = `max_stanza_bytes (${this.#maxBytes})`;
    throw new ServiceError('STANZA_TOO_LARGE', `a stanza has more bytes than ${limit} allows; raise it if such stanzas are meant`);
  }

  /** Doubling keeps the copying linear in what comes, even if it comes byte by byte. */
  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.length * 2, 1024)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
