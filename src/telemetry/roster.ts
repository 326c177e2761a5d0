interface KnownHandler {
  readonly name: string;
  /** The pool to which it delivers. */
  readonly pool: string;
  /** Pool and queue of its questions; undefined if it asks no business server. */
  readonly beforePush?: { readonly pool: string; readonly queue: string } | undefined;
}

export interface Configured {
  /** The ids of the pools. */
  readonly pools: readonly string[];
  readonly handlers: readonly KnownHandler[];
}

/** The pools and handlers that have been configured since the start. A reload adds to them and removes none. */
export class Roster {
  readonly #pools: Set<string>;
  readonly #handlers: Map<string, KnownHandler>;
  readonly #poolListeners: ((pool: string) => void)[] = [];
  readonly #handlerListeners: ((handler: KnownHandler) => void)[] = [];

  constructor(configured: Configured) {
    this.#pools = new Set(configured.pools);
    this.#handlers = new Map(configured.handlers.map((handler) => [handler.name, handler]));
  }

  get pools(): readonly string[] {
    return [...this.#pools];
  }

  /** Calls `listener` for each pool, including later ones. */
  eachPool(listener: (pool: string) => void): void {
    this.#poolListeners.push(listener);
    for (const pool of this.#pools) listener(pool);
  }

  /** Calls `listener` for each handler, and again after each reload that configures it. */
  eachHandler(listener: (handler: KnownHandler) => void): void {
    this.#handlerListeners.push(listener);
    for (const handler of this.#handlers.values()) listener(handler);
  }

  add({ pools, handlers }: Configured): void {
    for (const pool of pools.filter((name) => !this.#pools.has(name))) {
      this.#pools.add(pool);
      for (const listener of this.#poolListeners) listener(pool);
    }
    for (const handler of handlers) {
      this.#handlers.set(handler.name, handler);
      for (const listener of this.#handlerListeners) listener(handler);
    }
  }
}
