import type { Exchange } from './exchange.ts';
import type { HttpClient } from './http-client.ts';

/** Hands exchanges to the client in the order they came, at most `workers` at a time. */
export interface WorkerQueue {
  enqueue(exchange: Exchange): void;
  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void>;
}

export function createWorkerQueue(workers: number, client: HttpClient): WorkerQueue {
  const waiting: Exchange[] = [];
  let busy = 0;
  let onIdle: (() => void) | undefined;

  function start(exchange: Exchange): void {
    busy += 1;
    client.send(exchange, free);
  }

  function free(): void {
    busy -= 1;
    const next = nextWaiting();
    if (next !== undefined) start(next);
    else if (busy === 0) onIdle?.();
  }

  function nextWaiting(): Exchange | undefined {
    let next = waiting.shift();
    while (next?.lapsed() === true) next = waiting.shift();
    return next;
  }

  return {
    enqueue: (exchange) => {
      if (busy < workers) start(exchange);
      else waiting.push(exchange);
    },
    idle: () =>
      new Promise((resolve) => {
        onIdle = resolve;
        if (busy === 0) resolve();
      }),
  };
}
