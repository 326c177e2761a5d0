import { createHash, timingSafeEqual } from 'node:crypto';

/** A value that must never be printed. Strings, JSON and inspection show `[redacted]`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The plain value, for the code that must send or compare it. */
  reveal(): string {
    return this.#value;
  }

  /** Whether `offered` is the value. The comparison takes constant time. */
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

/** Digests have equal length, as a comparison in constant time requires. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
