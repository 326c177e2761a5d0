import { ServiceError } from '../../kit/errors.ts';

/** So many of its first bytes are handed over of an element that is too large. */
const headBytes = 16_384;

/**
 * The bytes of the element that is being framed, over as many chunks as it takes and at most `maxBytes`. What has more
 * is skipped to its end where `onTooLarge` takes its first bytes, and otherwise throws STANZA_TOO_LARGE.
 */
export class Held {
  readonly #maxBytes: number;
  readonly #onTooLarge: ((head: Buffer) => void) | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Where the element, or what comes of it in this chunk, begins; -1: there is none, or it is skipped. */
  #start = -1;
  #skippable = false;
  #skipping = false;

  constructor(maxBytes: number, onTooLarge: ((head: Buffer) => void) | undefined) {
    this.#maxBytes = maxBytes;
    this.#onTooLarge = onTooLarge;
  }

  get length(): number {
    return this.#length;
  }

  /** The end of an element that is too large has not come yet. */
  get skipping(): boolean {
    return this.#skipping;
  }

  /** An element begins here in the chunk. */
  begin(at: number): void {
    this.#start = at;
    this.#skippable = false;
  }

  /** What began is a stanza. */
  allowSkipping(): void {
    this.#skippable = this.#onTooLarge !== undefined;
  }

  /** What began is not wanted. */
  drop(): void {
    this.#start = -1;
    this.#clear();
  }

  /** The chunk is over and the element is not. */
  carry(chunk: Buffer): void {
    if (this.#start === -1) return;
    const part = chunk.subarray(this.#start);
    this.#start = 0;
    if (!this.#fits(part)) return this.#tooLarge(part, true);
    this.#grow(this.#length + part.length);
    part.copy(this.#bytes, this.#length);
    this.#length += part.length;
  }

  /** The element ends here. Gives its bytes, a view of the chunk if all came in it; undefined when it was too large. */
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

  #tooLarge(part: Buffer, goesOn: boolean): void {
    if (!this.#skippable) {
      const limit = `max_stanza_bytes (${this.#maxBytes})`;
      throw new ServiceError('STANZA_TOO_LARGE', `a stanza has more bytes than ${limit} allows; raise it if such stanzas are meant`);
    }
    const length = Math.min(headBytes, this.#maxBytes);
    const head = Buffer.concat([this.#bytes.subarray(0, Math.min(length, this.#length)), part.subarray(0, length)]).subarray(0, length);
    this.drop();
    this.#skipping = goesOn;
    this.#onTooLarge?.(head);
  }

  #clear(): void {
    this.#length = 0;
    this.#bytes = Buffer.alloc(0);
  }

  /** Doubling keeps the copying linear in what comes, even if it comes byte by byte. */
  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.length * 2, 1024)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
