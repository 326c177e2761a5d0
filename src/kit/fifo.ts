/** First in, first out, both ends in constant time (`Array.shift` moves every element). */
export interface Fifo<T> {
  readonly size: number;
  /** The one that `shift` would give. */
  readonly first: T | undefined;
  push(item: T): void;
  shift(): T | undefined;
}

/** Below this an array is shorter than the trouble of trimming it. */
const trimAt = 1024;

export function createFifo<T>(): Fifo<T> {
  let items: (T | undefined)[] = [];
  let head = 0;

  function shift(): T | undefined {
    const item = items[head];
    if (item === undefined) return undefined;
    items[head] = undefined; // let go of it at once
    head += 1;
    if (head >= trimAt && head * 2 >= items.length) {
      items = items.slice(head);
      head = 0;
    }
    return item;
  }

  return {
    get size() {
      return items.length - head;
    },
    get first() {
      return items[head];
    },
    push: (item) => {
      items.push(item);
    },
    shift,
  };
}
