import { ServiceError } from '../../kit/errors.ts';

/** Number of bytes of an oversized element that are passed on. */
const headBytes = 16_384;

/**
 * Collects the bytes of the current element over any number of chunks, up to `maxBytes`. A larger element is skipped if there is an
 * `onTooLarge`, which receives its first bytes; otherwise STANZA_TOO_LARGE is thrown.
 */
export class ElementBuffer {
  readonly #maxBytes: number;
  readonly #onTooLarge: ((head: Buffer) => void) | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Start of the element or of its continuation in this chunk; -1 if there is none or it is skipped. */
  #start = -1;
  #skippable = false;
  #skipping = false;

  constructor(maxBytes: number, onTooLarge: ((head: Buffer) => void) | undefined) {
    this.#maxBytes = maxBytes;
    this.#onTooLarge = onTooLarge;
  }

  /** Number of bytes kept from earlier chunks. */
  get length(): number {
    return this.#length;
  }

  /** Whether an element is too large and its end has not been received. */
  get skipping(): boolean {
    return this.#skipping;
  }

  /** An element begins at this position of the chunk. */
  begin(at: number): void {
    this.#start = at;
    this.#skippable = false;
  }

  /** The element is a stanza. */
  allowSkipping(): void {
    this.#skippable = this.#onTooLarge !== undefined;
  }

  /** Discards the element. */
  drop(): void {
    this.#start = -1;
    this.#clear();
  }

  /** The chunk ends inside the element. */
  carry(chunk: Buffer): void {
    if (this.#start === -1) return;
    const part = chunk.subarray(this.#start);
    this.#start = 0;
    if (!this.#fits(part)) return this.#tooLarge(part, true);
    this.#grow(this.#length + part.length);
    part.copy(this.#bytes, this.#length);
    this.#length += part.length;
  }

  /** The element ends at this position. Returns its bytes, as a view of the chunk if that contains all of them; undefined if it was too large. */
  take(chunk: Buffer, end: number): Buffer | undefined {
    const wasSkipped = this.#skipping;
    this.#skipping = false;
    if (wasSkipped) return undefined;
    const part = chunk.subarray(this.#start, end);
    this.#start = -1;
    if (!this.#fits(part)) {
      this.#tooLarge(part, false);
      return undefined;
    }
    if (this.#length === 0) return part;
    const whole = Buffer.concat([this.#bytes.subarray(0, this.#length), part]);
    this.#clear();
    return whole;
  }

  #fits(part: Buffer): boolean {
    return this.#length + part.length <= this.#maxBytes;
  }

  #tooLarge(part: Buffer, continues: boolean): void {
    if (!this.#skippable) {
      const limit = `max_stanza_bytes (${this.#maxBytes})`;
      throw new ServiceError('STANZA_TOO_LARGE', `a stanza has more bytes than ${limit} allows; raise it to accept such stanzas`);
    }
    const length = Math.min(headBytes, this.#maxBytes);
    const head = Buffer.concat([this.#bytes.subarray(0, Math.min(length, this.#length)), part.subarray(0, length)]).subarray(0, length);
    this.drop();
    this.#skipping = continues;
    this.#onTooLarge?.(head);
  }

  #clear(): void {
    this.#length = 0;
    this.#bytes = Buffer.alloc(0);
  }

  /** Doubles the capacity, so that copying stays linear even if data arrives byte by byte. */
  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.length * 2, 1024)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
