import { createHash, timingSafeEqual } from 'node:crypto';

/** A value that must never be printed: it shows as `[redacted]` in strings, JSON and inspection. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The bare value, for the one place that needs it. */
  reveal(): string {
    return this.#value;
  }

  /** Whether `offered` is the bare value. How long it takes tells nothing of it. */
  matches(offered: string): boolean {
    return timingSafeEqual(digest(offered), digest(this.#value));
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]';
  }
}

/** Digests have one length, which is what a comparison in constant time needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
