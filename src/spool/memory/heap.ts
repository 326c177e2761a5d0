/** A binary heap: `pop` gives the member that comes before all others. */
export interface Heap<T> {
  push(member: T): void;
  peek(): T | undefined;
  pop(): T | undefined;
}

/** `before` must be a strict order. */
export function createHeap<T>(before: (one: T, other: T) => boolean): Heap<T> {
  const members: T[] = [];

  /** Moves the hole at `at` towards the root until `member` fits into it. */
  function rise(from: number, member: T): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = members[above];
      if (parent === undefined || !before(member, parent)) break;
      members[at] = parent;
      at = above;
    }
    members[at] = member;
  }

  /** Moves the hole at the root towards the leaves until `member` fits into it. */
  function sink(member: T): void {
    let at = 0;
    for (;;) {
      const left = members[2 * at + 1];
      if (left === undefined) break;
      const right = members[2 * at + 2];
      const goRight = right !== undefined && before(right, left);
      const child = goRight ? right : left;
      if (!before(child, member)) break;
      members[at] = child;
      at = 2 * at + (goRight ? 2 : 1);
    }
    members[at] = member;
  }

  return {
    push: (member) => {
      members.push(member);
      rise(members.length - 1, member);
    },
    peek: () => members[0],
    pop: () => {
      const first = members[0];
      const last = members.pop();
      if (last !== undefined && members.length > 0) sink(last);
      return first;
    },
  };
}
