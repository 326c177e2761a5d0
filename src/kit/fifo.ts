/** Once this many slots at the start are empty, it is worth trimming the array. */
const trimAt = 1024;

/** A first-in, first-out queue whose ends both work in constant time (`Array.shift` moves every element). */
export class Fifo<T> {
  readonly #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The item that `shift` would return. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head] = undefined; // release it for garbage collection
    this.#head += 1;
    if (this.#head >= trimAt && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head); // in place: a replaced array in the old generation would keep its items until a full collection
      this.#head = 0;
    }
    return item;
  }
}
