/** Least length at which all void entries are removed at once, which happens when the heap has doubled. Others are removed at the top. */
const minCompacted = 1024;

/** A binary heap that skips void entries; an entry may become void at any time. */
export class MinHeap<T> {
  readonly #isBefore: (one: T, other: T) => boolean;
  readonly #isValid: (entry: T) => boolean;
  #entries: T[] = [];
  /** Length at which all void entries are removed. */
  #compactAt = minCompacted;

  constructor(isBefore: (one: T, other: T) => boolean, isValid: (entry: T) => boolean) {
    this.#isBefore = isBefore;
    this.#isValid = isValid;
  }

  push(entry: T): void {
    if (this.#entries.length >= this.#compactAt) this.#compact();
    this.#entries.push(entry);
    this.#rise(this.#entries.length - 1);
  }

  /** The first valid entry. */
  peek(): T | undefined {
    for (let top = this.#entries[0]; top !== undefined; top = this.#entries[0]) {
      if (this.#isValid(top)) return top;
      this.#removeTop();
    }
    return undefined;
  }

  pop(): T | undefined {
    const top = this.peek();
    if (top !== undefined) this.#removeTop();
    return top;
  }

  #removeTop(): void {
    const last = this.#entries.pop();
    if (last === undefined || this.#entries.length === 0) return;
    this.#entries[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    const entries = this.#entries;
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(entries, at, parent)) return;
      at = parent;
    }
  }

  #sink(start: number): void {
    const entries = this.#entries;
    for (let at = start; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const least = this.#isFirst(entries, right, left) ? right : left;
      if (!this.#swapIfBefore(entries, least, at)) return;
      at = least;
    }
  }

  #isFirst(entries: readonly T[], one: number, other: number): boolean {
    const [first, second] = [entries[one], entries[other]];
    return first !== undefined && second !== undefined && this.#isBefore(first, second);
  }

  #swapIfBefore(entries: T[], one: number, other: number): boolean {
    const [first, second] = [entries[one], entries[other]];
    if (first === undefined || second === undefined || !this.#isBefore(first, second)) return false;
    [entries[one], entries[other]] = [second, first];
    return true;
  }

  #compact(): void {
    this.#entries = this.#entries.filter(this.#isValid);
    for (let at = (this.#entries.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
    this.#compactAt = Math.max(minCompacted, 2 * this.#entries.length);
  }
}
