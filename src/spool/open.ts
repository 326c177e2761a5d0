import type { PostgresConfig, SpoolConfig } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import { systemTimers, type Timers } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { createLifecycle } from '../kit/lifecycle.ts';
import type { EventSink } from '../telemetry/events.ts';
import { withOperatorCalls } from './operator-calls.ts';
import { createPostgresEngine, type PostgresSpoolDeps } from './postgres/spool.ts';
import type { Spool, SpoolStats } from './spool.ts';
import { SpoolCommands } from './sqlite/commands.ts';
import { answerBatch, type QueuedCommand } from './sqlite/group-commit.ts';
import { openOperatorCommands } from './sqlite/operator-commands.ts';
import { type Committed, isAppend } from './sqlite/protocol.ts';
import { createSqliteEngine, type SqliteSpoolDeps } from './sqlite/spool.ts';
import { ReportedStats } from './sqlite/stats.ts';
import { openMemoryStore, type Store } from './sqlite/store.ts';

interface SpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers?: Timers;
  /** The history; without effect in memory. */
  readonly journal?: PostgresSpoolDeps['journal'];
  /** Whether to check the whole file before use, because an earlier start found it damaged. Default false. */
  readonly check?: boolean;
  /** The engine has failed: every later call rejects with SPOOL_FAILED, and only a new spool helps. Called once. */
  readonly onFailed?: (error: ServiceError) => void;
}

/** Creates the spool with the configured engine; it is not started yet. */
export function openSpool(config: SpoolConfig, deps: SpoolDeps): Spool {
  const threaded = { timers: systemTimers, onFailed: () => undefined, ...deps };
  switch (config.engine) {
    case 'memory':
      return createMemorySpool(deps);
    case 'postgres':
      if (config.postgres === undefined) throw new ServiceError('SPOOL_OPEN_FAILED', 'the spool in PostgreSQL has no url');
      return createPostgresSpool(config.postgres, threaded);
    case 'sqlite':
      return createSqliteSpool(config, threaded);
    default:
      return config.engine satisfies never;
  }
}

export function createSqliteSpool(config: SpoolConfig, deps: SqliteSpoolDeps): Spool {
  return withOperatorCalls(createSqliteEngine(config, deps), deps.events);
}

export function createPostgresSpool(config: PostgresConfig, deps: PostgresSpoolDeps): Spool {
  return withOperatorCalls(createPostgresEngine(config, deps), deps.events);
}

/**
 * The spool in memory, for tests and `engine = "memory"`: SQLite on `:memory:` in the calling thread, without a file, a lock or a
 * limit. Nothing outlives the process.
 */
export function createMemorySpool({ clock, events }: Pick<SpoolDeps, 'clock' | 'events'>): Spool {
  const reported = new ReportedStats(events, clock);
  const engine = new MemoryEngine(clock, reported);
  const lifecycle = createLifecycle({ start: async () => engine.open(), stop: async () => engine.close() });
  const commands = new SpoolCommands({ add: (queued) => engine.add(queued), onPaused: reported.paused });
  return withOperatorCalls({ ...lifecycle, ...commands, stats: () => engine.stats() }, events);
}

/** Commits the commands of one turn of the event loop as one transaction. */
class MemoryEngine {
  readonly #clock: Clock;
  readonly #reported: ReportedStats;
  #store: Store | undefined;
  #queued: QueuedCommand[] = [];
  #maintainAt = 0;

  constructor(clock: Clock, reported: ReportedStats) {
    this.#clock = clock;
    this.#reported = reported;
  }

  open(): void {
    this.#store = openMemoryStore(this.#clock, openOperatorCommands);
    this.#reported.opened(this.#store.opened);
  }

  close(): void {
    do this.#commit();
    while (this.#queued.length > 0);
    this.#store?.close();
    this.#store = undefined;
    this.#reported.stopped();
  }

  add(queued: QueuedCommand): void {
    if (this.#store === undefined) return queued.failed(new ServiceError('SPOOL_FAILED', 'the spool in memory is not running'));
    if (this.#queued.length === 0) queueMicrotask(() => this.#commit());
    this.#queued.push(queued);
  }

  /** `oldest` is read when it is used: the backlog of a pool reads the depths alone, for many deliveries. */
  stats(): SpoolStats {
    const store = this.#store;
    const stats = this.#reported.stats();
    if (store === undefined) return stats;
    return {
      ...stats,
      get oldest() {
        return store.oldest();
      },
    };
  }

  #commit(): void {
    const batch = inOrderOfExecution(this.#queued);
    this.#queued = [];
    if (this.#store === undefined || batch.length === 0) return;
    let committed: Committed;
    try {
      const commands = batch.map(({ command }) => command);
      committed = this.#store.commit(commands, { maintain: this.#isMaintenanceDue(), now: this.#clock.now() });
    } catch (error) {
      for (const queued of batch) queued.failed(toError(error));
      return;
    }
    this.#reported.committed(committed);
    if (committed.undone.length > 0) {
      this.#queued = committed.undone.flatMap((index) => batch[index] ?? []);
      setImmediate(() => this.#commit()); // later than the settlements that replace refused ones
    }
    answerBatch(batch, committed);
  }

  #isMaintenanceDue(): boolean {
    const now = this.#clock.monotonic();
    if (now < this.#maintainAt) return false;
    this.#maintainAt = now + maintenanceEveryMs;
    return true;
  }
}

const maintenanceEveryMs = 1000;

/** The store runs appends last, and answers must come in the order of execution. */
function inOrderOfExecution(queued: readonly QueuedCommand[]): readonly QueuedCommand[] {
  return [...queued.filter(({ command }) => !isAppend(command)), ...queued.filter(({ command }) => isAppend(command))];
}
