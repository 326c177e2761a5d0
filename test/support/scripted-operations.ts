import type { OrphanView, PoolView, ServiceOperations, TestReport } from '../../src/admin/operations.ts';
import { ServiceError } from '../../src/kit/errors.ts';
import type { QueueName } from '../../src/model/delivery.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { AttemptSummary } from '../../src/telemetry/recent.ts';
import { acceptedAt, idOf } from '../spool/build.ts';

/** Operations without a service: the test sets pools, orphans and the test report; dead letters come from a real spool. */
export interface ScriptedOperations extends ServiceOperations {
  readonly paused: Set<string>;
  orphaned: readonly OrphanView[];
  spoolFullInMs: number | null;
  /** Result of `sendTest` for the handler `push`. */
  report: TestReport;
}

export function scriptOperations(spool: Pick<Spool, 'replay'>): ScriptedOperations {
  const paused = new Set<string>();

  function takeOrphans(queue: QueueName): number {
    const taken = operations.orphaned.filter((orphan) => isSame(orphan, queue));
    operations.orphaned = operations.orphaned.filter((orphan) => !isSame(orphan, queue));
    return taken.reduce((sum, { waiting }) => sum + waiting, 0);
  }

  const operations: ScriptedOperations = {
    paused,
    spoolFullInMs: null,
    orphaned: [{ pool: 'pool', handler: 'gone', waiting: 7 }],
    report: {
      id: idOf('test-1'),
      method: 'POST',
      url: 'http://127.0.0.1:8000/notifications',
      outcome: { kind: 'answered', status: 204, durationMs: 12, retryAfter: undefined, excerpt: '', truncated: false },
      accepted: true,
      reason: '',
    },
    pools: () => {
      const view = makePoolView({ paused: paused.has('pool'), spoolFullInMs: operations.spoolFullInMs });
      return [{ ...view, handlers: view.handlers.map((handler) => ({ ...handler, paused: paused.has(`pool/${handler.name}`) })) }];
    },
    hosts: () => ['localhost'],
    setPaused: async (pool, pause, handler) => {
      if (pool !== 'pool' || (handler ?? 'push') !== 'push') return false;
      const name = handler === undefined ? pool : `${pool}/${handler}`;
      if (pause) paused.add(name);
      else paused.delete(name);
      return true;
    },
    probe: (pool) => pool === 'pool',
    removedPauses: () => [],
    orphans: () => operations.orphaned,
    moveOrphans: async (from, to) => {
      if (!isSame(to, { pool: 'pool', handler: 'push' })) throw new ServiceError('UNKNOWN_QUEUE', `no handler "${to.handler}"`);
      return takeOrphans(from);
    },
    purgeOrphans: async (queue) => takeOrphans(queue),
    replay: async (filter, limit) => {
      const { replayed, failedPackets } = await spool.replay(filter, { limit, now: acceptedAt });
      return { replayed, failed: failedPackets };
    },
    sendTest: async (handler) => (handler === 'push' ? operations.report : undefined),
  };
  return operations;
}

export const noAttempts: AttemptSummary = { consecutiveFailures: 0, lastError: undefined, attempts: 0, accepted: 0 };

export function makePoolView(changes: Partial<PoolView> = {}): PoolView {
  return {
    name: 'pool',
    origin: 'http://127.0.0.1:8000',
    workers: 10,
    inFlight: 3,
    waiting: 12,
    dead: 1,
    paused: false,
    oldestAt: acceptedAt,
    spoolFullInMs: null,
    breaker: 'closed',
    probeInMs: null,
    limits: { maxBacklog: 1_000_000, overflow: 'hold-intake', maxAgeMs: 259_200_000 },
    handlers: [
      {
        ...{ name: 'push', recent: noAttempts, waiting: 12, dead: 1, paused: false },
        ...{ breaker: 'open', probeInMs: 18_000, pausedUntil: acceptedAt + 1000 },
      },
    ],
    ...changes,
  };
}

function isSame(one: QueueName, other: QueueName): boolean {
  return one.pool === other.pool && one.handler === other.handler;
}
