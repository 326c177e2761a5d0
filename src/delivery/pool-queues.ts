import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Admission } from './admission.ts';
import { createQueue, type Queue, type QueueParts } from './queue.ts';
import { createRota, type Rota } from './rota.ts';

/** The queues of a pool, one for each handler. */
export interface PoolQueues extends Rota {
  /** Something waits, here or perhaps in the spool. */
  isNeeded(): boolean;
  reserve(delivery: NewDelivery): boolean;
  release(delivery: NewDelivery): void;
  /** False: its handler is not served here, as after a reload or a move to another pool. */
  put(delivery: Claimed): boolean;
  /** Takes out the first of an impatient queue that `test` picks; it looks at no others. */
  nextImpatient(test: (first: Claimed) => boolean): Claimed | undefined;
  wake(): void;
  /** Claims where there is room; instants are of a clock that never jumps, ms. */
  refill(now: number): void;
  /** From now on these handlers are served. Gives what is held for others, once no claim for them is under way. */
  serve(handlers: readonly string[]): Promise<readonly Claimed[]>;
  /** Takes out what is held for a handler, which stays in the spool until it may go. */
  withdraw(handler: string): readonly Claimed[];
  /** Takes out all, once no claim is under way. */
  withdrawAll(): Promise<readonly Claimed[]>;
}

export interface PoolQueuesParts extends Omit<QueueParts, 'admission' | 'handler' | 'impatient'> {
  readonly handlers: readonly string[];
  /** Whether a queue is to be impatient. */
  readonly isImpatient: (handler: string) => boolean;
  readonly admission: Admission;
}

/** `places` and `bytes` are the whole pool's. Queues of handlers that went stay known, since what they reserved comes back to them. */
export function createPoolQueues({ handlers, admission, places, bytes, isImpatient, ...parts }: PoolQueuesParts): PoolQueues {
  const known = new Map<string, Queue>();
  let served = open(handlers);
  const rota = createRota(() => served);

  function open(names: readonly string[]): readonly Queue[] {
    const bounds = { places: Math.ceil(places / names.length), bytes: Math.ceil(bytes / names.length) };
    return names.map((handler) => {
      const own = { handler, admission: admission.handler(handler), impatient: isImpatient(handler) };
      const queue = known.get(handler) ?? createQueue({ ...parts, ...bounds, ...own });
      known.set(handler, queue);
      return queue;
    });
  }

  function wake(): void {
    for (const queue of served) queue.wake();
  }

  function withdraw(handler: string): readonly Claimed[] {
    const queue = known.get(handler);
    queue?.wake();
    return queue?.withdraw() ?? [];
  }

  async function serve(names: readonly string[]): Promise<readonly Claimed[]> {
    served = open(names);
    const isGone = (queue: Queue): boolean => !served.includes(queue);
    for (const queue of known.values()) queue.wake();
    const gone = [...known.values()].filter(isGone);
    await Promise.all(gone.map((queue) => queue.claimed()));
    return gone.filter(isGone).flatMap(({ handler }) => withdraw(handler)); // it may be served again meanwhile
  }

  return {
    next: rota.next,
    isNeeded: () => served.some((queue) => queue.isNeeded),
    reserve: (delivery) => known.get(delivery.handler)?.reserve(delivery) === true,
    release: (delivery) => known.get(delivery.handler)?.release(delivery),
    put: (delivery) => {
      const queue = known.get(delivery.handler);
      if (queue === undefined || !served.includes(queue)) return false;
      queue.put(delivery);
      return true;
    },
    nextImpatient: (test) => {
      for (const queue of served) {
        const first = queue.impatient ? queue.first('fresh') : undefined;
        if (first !== undefined && test(first)) return queue.take('fresh');
      }
      return undefined;
    },
    wake,
    refill: (now) => {
      for (const queue of served) queue.refill(now);
    },
    serve,
    withdraw,
    withdrawAll: async () => {
      const queues = [...known.values()];
      await Promise.all(queues.map((queue) => queue.claimed()));
      return queues.flatMap((queue) => queue.withdraw());
    },
  };
}
