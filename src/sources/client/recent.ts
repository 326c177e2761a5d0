/** Remembers the last so many names. */
export interface Recent {
  add(name: string): void;
  has(name: string): boolean;
}

export function createRecent(size: number): Recent {
  const names = new Set<string>();
  return {
    add: (name) => {
      names.add(name);
      if (names.size <= size) return;
      const oldest = names.values().next();
      if (oldest.done === false) names.delete(oldest.value);
    },
    has: (name) => names.has(name),
  };
}
