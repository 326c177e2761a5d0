import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { Stanza } from '../../src/model/packet.ts';
import { hangMs } from './eventually.ts';

/** Stanzas received on a stream, in order. Each stanza is returned by at most one `next`. */
export interface Inbox {
  /** All received stanzas, claimed or not. */
  readonly all: readonly Stanza[];
  put(stanza: Stanza): void;
  /** The first unclaimed stanza that `matches`, now or later. Rejects after `withinMs` or at the end of the stream. */
  next(matches?: (stanza: Stanza) => boolean, withinMs?: number): Promise<Stanza>;
  /** No more stanzas will arrive; pending calls reject with the reason. */
  end(reason: string): void;
}

export function createInbox(owner: string): Inbox {
  const all: Stanza[] = [];
  const unclaimed: Stanza[] = [];
  const waiting = new Set<{ readonly matches: (stanza: Stanza) => boolean; readonly found: Deferred<Stanza> }>();
  let ended: string | undefined;

  return {
    all,
    put: (stanza) => {
      all.push(stanza);
      for (const waiter of waiting) {
        if (!waiter.matches(stanza)) continue;
        waiting.delete(waiter);
        return waiter.found.resolve(stanza);
      }
      unclaimed.push(stanza);
    },
    next: async (matches = () => true, withinMs = hangMs) => {
      const at = unclaimed.findIndex(matches);
      const [claimed] = at < 0 ? [] : unclaimed.splice(at, 1);
      if (claimed !== undefined) return claimed;
      if (ended !== undefined) throw new Error(`${owner}: ${ended}`);

      const waiter = { matches, found: createDeferred<Stanza>() };
      waiting.add(waiter);
      const timer = setTimeout(() => {
        waiting.delete(waiter);
        waiter.found.reject(
          new Error(`${owner}: nothing that matches within ${withinMs} ms; unclaimed: ${unclaimed.map(({ xml }) => xml)}`),
        );
      }, withinMs);
      return waiter.found.promise.finally(() => clearTimeout(timer));
    },
    end: (reason) => {
      ended ??= [reason, ...unclaimed.map(({ xml }) => xml)].join('; unclaimed: '); // the stream error contains the reason
      for (const { found } of waiting) found.reject(new Error(`${owner}: ${ended}`));
      waiting.clear();
    },
  };
}
