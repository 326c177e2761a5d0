/**
 * One handler's deliveries for a pool, on their way from the spool to a worker. They come by one of three doors and wait in
 * the same short buffer:
 * - *at birth*: it was claimed in the commit that stored it; its body never left memory;
 * - *as next*: the commit that settled its lane's head claimed it;
 * - *by claim*: the buffer had been full, or it was not due yet, so it waited in the spool.
 *
 * While more ready ones wait in the spool than the buffer can take (`backlogged`) the first two doors are shut, so that
 * nobody overtakes those who wait.
 */
import type { Clock, EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Spool } from '../spool/spool.ts';
import type { HandlerAdmission } from './admission.ts';
import { createDeliveryBuffer, type DeliveryAge, type DeliveryBuffer } from './buffer.ts';

export interface Queue {
  readonly handler: string;
  readonly admission: HandlerAdmission;
  /** What is in it is decided otherwise rather than to wait: it comes here also while it may not go. */
  readonly impatient: boolean;
  /** Deliveries in memory. */
  readonly size: number;
  has(age: DeliveryAge): boolean;
  /** The one that `take` would give. */
  first(age: DeliveryAge): Claimed | undefined;
  take(age: DeliveryAge): Claimed | undefined;
  put(delivery: Claimed): void;
  /** Keeps a place for one that may be claimed at birth or as next; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean;
  release(delivery: NewDelivery): void;
  /** The spool may hold ready ones. */
  wake(): void;
  /** Claims more where there is room for a good number and something may go. True while something waits that may not go. */
  refill(now: number): void;
  /** Something waits, here or perhaps in the spool. */
  readonly isNeeded: boolean;
  /** Takes out all that is in memory. */
  withdraw(): Claimed[];
  /** Resolves when no claim is under way. */
  claimed(): Promise<void>;
}

export interface QueueParts {
  readonly pool: string;
  readonly handler: string;
  readonly admission: HandlerAdmission;
  readonly impatient: boolean;
  readonly places: number;
  readonly bytes: number;
  readonly spool: Spool;
  readonly clock: Clock;
  /** What was claimed is here. */
  readonly onClaimed: () => void;
  /** Nothing is left that is due before `at`. */
  readonly onNextAt: (at: EpochMs) => void;
  readonly onFailed: (error: Error) => void;
}

/** While few may go at once, few are claimed. */
const claimedPerAllowed = 8;

/** So few that retries, which get no more than half of them, hardly fill what is left of the buffer. */
const claimedBesideRetries = 8;

export function createQueue(parts: QueueParts): Queue {
  const { pool, handler, admission, impatient, places, spool, clock } = parts;
  const buffer = createDeliveryBuffer(parts);
  let backlogged = true;
  /** A first attempt waits in the spool, perhaps. */
  let freshWaits = false;
  let claiming: Promise<void> | undefined;

  function refill(now: number): void {
    const room = roomToClaim();
    if (!backlogged || claiming !== undefined || room === 0 || isShut(now)) return;
    const allowed = impatient ? Number.POSITIVE_INFINITY : admission.room(now) * claimedPerAllowed;
    if (buffer.size < allowed) claiming = claim(Math.min(room, allowed));
  }

  function isShut(now: number): boolean {
    return !impatient && admission.isShut(now);
  }

  /** A good number is claimed at a time, but first attempts wait for no buffer that is full of retries. */
  function roomToClaim(): number {
    if (buffer.room >= places / 2) return buffer.room;
    return freshWaits && !buffer.has('fresh') ? Math.min(buffer.room, claimedBesideRetries) : 0;
  }

  async function claim(limit: number): Promise<void> {
    [backlogged, freshWaits] = [false, false]; // who wakes us from here on has stored something that this claim may miss
    try {
      const { claimed, nextAt } = await spool.claim(pool, { handlers: [handler], limit, bytes: buffer.roomBytes, now: clock.now() });
      for (const delivery of claimed) buffer.put(delivery);
      freshWaits ||= claimed.some(({ attempts }) => attempts === 0);
      if (nextAt !== undefined) remember(nextAt);
    } catch (thrown) {
      parts.onFailed(toError(thrown));
    }
    claiming = undefined;
    parts.onClaimed();
  }

  function remember(nextAt: EpochMs): void {
    if (nextAt <= clock.now()) backlogged = true;
    else parts.onNextAt(nextAt);
  }

  return {
    handler,
    admission,
    impatient,
    get size() {
      return buffer.size;
    },
    has: buffer.has,
    first: buffer.first,
    take: buffer.take,
    put: buffer.put,
    reserve: (delivery) => {
      const reserved = !backlogged && !isShut(clock.monotonic()) && buffer.reserve(delivery);
      freshWaits ||= !reserved;
      return reserved;
    },
    release: buffer.release,
    wake: () => {
      backlogged = true;
    },
    refill,
    get isNeeded() {
      return backlogged || buffer.size > 0;
    },
    withdraw: () => [...takeAll(buffer, 'fresh'), ...takeAll(buffer, 'retry')],
    claimed: async () => claiming,
  };
}

function takeAll(buffer: DeliveryBuffer, age: DeliveryAge): Claimed[] {
  const all: Claimed[] = [];
  for (let one = buffer.take(age); one !== undefined; one = buffer.take(age)) all.push(one);
  return all;
}
