/**
 * What a pool owes, held to its bound. The spool's counters are asked only as often as the bound could have been met, so
 * that a pool far from it pays nothing.
 */
import type { PoolConfig } from '../config/config.ts';
import { toError } from '../kit/errors.ts';
import { countByQueue } from '../spool/dead-letter.ts';
import type { Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';

export interface Backlog {
  /** Why what is turned away is turned away, for the operator. */
  readonly fullness: string;
  /** Whether intake must wait: the pool is full, and that is its way. Told once each time it becomes so. */
  holdsIntake(handler: string): boolean;
  /** Admits a delivery of a handler and counts it, or refuses it. `dead-letter-oldest` makes room for it. */
  enter(handler: string): boolean;
  /** One that was coming is on disk. */
  arrived(): void;
}

export interface BacklogParts {
  readonly pool: Pick<PoolConfig, 'id' | 'maxBacklog' | 'overflow'>;
  readonly spool: Pick<Spool, 'shed' | 'stats'>;
  readonly events: EventSink;
  readonly onReady: (pools: readonly string[]) => void;
  readonly onFailed: (error: Error) => void;
}

export function createBacklog({ pool: { id, maxBacklog, overflow }, spool, events, onReady, onFailed }: BacklogParts): Backlog {
  const fullness = `the backlog of pool ${id} is at its max_backlog (${maxBacklog})`;
  let coming = 0;
  let untilNextLook = 0;
  let shedding = false;
  let holding = false;

  /** Room may only have grown since the last look, but for what was let in. */
  function isFull(): boolean {
    if (untilNextLook > 0) return false;
    const left = room();
    untilNextLook = Math.max(0, Math.ceil(left / 2));
    return left <= 0;
  }

  function room(): number {
    return spool.stats().depths.reduce((left, { pool, waiting }) => (pool === id ? left - waiting : left), maxBacklog - coming);
  }

  function enter(handler: string): boolean {
    if (isFull() && overflow === 'refuse') {
      tell(handler, 1);
      return false;
    }
    if (untilNextLook > 0) untilNextLook -= 1;
    else if (overflow === 'dead-letter-oldest') void shed();
    coming += 1;
    return true;
  }

  function holdsIntake(handler: string): boolean {
    const holds = overflow === 'hold-intake' && isFull();
    if (holds && !holding) tell(handler, 1);
    holding = holds;
    return holds;
  }

  /** As many as are too many when it begins; who comes meanwhile makes the next round. */
  async function shed(): Promise<void> {
    if (shedding) return;
    shedding = true;
    try {
      const { shed: gone, readyPools } = await spool.shed(id, 1 - room(), fullness);
      for (const { handler, count } of countByQueue(gone)) tell(handler, count);
      if (readyPools.length > 0) onReady(readyPools);
    } catch (thrown) {
      onFailed(toError(thrown));
    }
    shedding = false;
  }

  function tell(handler: string, count: number): void {
    events.emit('backlog.overflow', { pool: id, handler, policy: overflow, count });
  }

  return {
    fullness,
    holdsIntake,
    enter,
    arrived: () => {
      coming -= 1;
    },
  };
}
