/** The pools and handlers that have been configured since the start: a reload brings more, and takes none away. */
export interface Roster {
  readonly pools: readonly string[];
  /** Calls `listener` for each pool, those that come later included. */
  eachPool(listener: (pool: string) => void): void;
  /** Calls `listener` for each handler, again when it was configured anew. */
  eachHandler(listener: (handler: KnownHandler) => void): void;
  add(configured: Configured): void;
}

export interface KnownHandler {
  readonly name: string;
  /** The pool that it delivers to. */
  readonly pool: string;
  /** Where and by what name its questions are queued; undefined: it asks nobody. */
  readonly beforePush?: { readonly pool: string; readonly queue: string } | undefined;
}

export interface Configured {
  /** The ids of the pools. */
  readonly pools: readonly string[];
  readonly handlers: readonly KnownHandler[];
}

export function createRoster(configured: Configured): Roster {
  const pools = new Set(configured.pools);
  const handlers = new Map(configured.handlers.map((handler) => [handler.name, handler]));
  const poolListeners: ((pool: string) => void)[] = [];
  const handlerListeners: ((handler: KnownHandler) => void)[] = [];

  return {
    get pools() {
      return [...pools];
    },
    eachPool: (listener) => {
      poolListeners.push(listener);
      for (const pool of pools) listener(pool);
    },
    eachHandler: (listener) => {
      handlerListeners.push(listener);
      for (const handler of handlers.values()) listener(handler);
    },
    add: (more) => {
      for (const pool of more.pools.filter((name) => !pools.has(name))) {
        pools.add(pool);
        for (const listener of poolListeners) listener(pool);
      }
      for (const handler of more.handlers) {
        handlers.set(handler.name, handler);
        for (const listener of handlerListeners) listener(handler);
      }
    },
  };
}
