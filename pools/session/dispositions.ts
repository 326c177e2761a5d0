import type { Timers } from '../../src/kit/clock.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { DispositionKind } from '../../src/model/attempt.ts';

/** Workers that wait to be told what has become of their deliveries. */
export interface Dispositions {
  /** To be called before the outcome is told. Undefined: the thread stops, and nobody said. */
  of(key: number): Promise<DispositionKind | undefined>;
  told(key: number, disposition: DispositionKind): void;
  /** The thread stops: from now on nobody waits longer than the timeout. */
  stop(): void;
}

export function createDispositions({ timeoutMs, timers }: { readonly timeoutMs: number; readonly timers: Timers }): Dispositions {
  const awaited = new Map<number, Deferred<DispositionKind | undefined>>();
  let stopping = false;

  function settle(key: number, disposition: DispositionKind | undefined): void {
    awaited.get(key)?.resolve(disposition);
    awaited.delete(key);
  }

  function giveUpLater(key: number): void {
    const callOff = timers.after(timeoutMs, () => settle(key, undefined));
    void awaited.get(key)?.promise.then(callOff);
  }

  return {
    of: (key) => {
      const deferred = createDeferred<DispositionKind | undefined>();
      awaited.set(key, deferred);
      if (stopping) giveUpLater(key);
      return deferred.promise;
    },
    told: settle,
    stop: () => {
      stopping = true;
      for (const key of awaited.keys()) giveUpLater(key);
    },
  };
}
