import { toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { EventBus, EventName, Events } from './events.ts';

type AnyListener = (event: never) => void;

/** Calls listeners at once, in the order they came. What a listener throws goes to `onBroken`, never to the emitter. */
export function createEventBus(onBroken: (name: EventName, error: Error) => void = () => undefined): EventBus {
  const listeners = new Map<EventName, AnyListener[]>();

  function emit<N extends EventName>(name: N, event: Events[N]): void {
    for (const listener of listeners.get(name) ?? []) {
      try {
        (listener as (event: Events[N]) => void)(event); // `on` pairs names and listeners
      } catch (thrown) {
        onBroken(name, toError(thrown));
      }
    }
  }

  function on<N extends EventName>(name: N, listener: (event: Events[N]) => void): () => void {
    listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    return () => {
      listeners.set(
        name,
        (listeners.get(name) ?? []).filter((other) => other !== listener),
      );
    };
  }

  function next<N extends EventName>(name: N, matches: (event: Events[N]) => boolean = () => true): Promise<Events[N]> {
    const deferred = createDeferred<Events[N]>();
    const off = on(name, (event) => {
      if (!matches(event)) return;
      off();
      deferred.resolve(event);
    });
    return deferred.promise;
  }

  return { emit, on, next };
}
