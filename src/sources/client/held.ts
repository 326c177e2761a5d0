import type { Sighting } from './sighting.ts';

/** Live messages that wait until it is known whether the archive holds them too. */
export interface Held {
  readonly bytes: number;
  add(sighting: Sighting, print: string): void;
  /** Takes out the one that the archive calls `id`, or that looks like it. */
  take(id: string, print: string): Sighting | undefined;
  /** Takes out all, in their order. */
  takeAll(): readonly Sighting[];
}

export function createHeld(): Held {
  let waiting = new Map<string, Sighting[]>();
  let bytes = 0;

  function take(name: string): Sighting | undefined {
    const same = waiting.get(name);
    const first = same?.shift();
    if (same?.length === 0) waiting.delete(name);
    bytes -= first?.bytes ?? 0;
    return first;
  }

  return {
    get bytes() {
      return bytes;
    },
    add: (sighting, print) => {
      const name = sighting.archiveId ?? print;
      waiting.set(name, [...(waiting.get(name) ?? []), sighting]);
      bytes += sighting.bytes;
    },
    take: (id, print) => take(id) ?? take(print),
    takeAll: () => {
      const all = [...waiting.values()].flat();
      waiting = new Map();
      bytes = 0;
      return all;
    },
  };
}
