/** The state of the running service, gathered on request, at most once per second for all viewers. */
import type { Clock, EpochMs } from '../../kit/clock.ts';
import type { History } from '../../spool/history/history.ts';
import type { SpoolStats } from '../../spool/spool.ts';
import type { Conditions } from '../../telemetry/conditions.ts';
import type { Flow, FlowColumns } from '../../telemetry/flow.ts';
import type { Health } from '../../telemetry/health.ts';
import type { LastError } from '../../telemetry/recent.ts';
import type { PoolView, QueueView, ServiceOperations } from '../operations.ts';
import type { Facts, HostFacts, PoolFacts, QueueFacts, SpoolFacts } from './facts.ts';

export interface StatusSources {
  readonly operations: Pick<ServiceOperations, 'orphans' | 'pools' | 'removedPauses'>;
  readonly conditions: Conditions;
  readonly flow: Pick<Flow, 'columns' | 'mean' | 'newest' | 'queue'>;
  readonly health: Pick<Health, 'draining' | 'hosts'>;
  readonly spoolStats: () => SpoolStats;
  /** 0 if the engine has no limit. */
  readonly maxSpoolBytes: number;
  /** Undefined: settled events are not recorded. */
  readonly history: Pick<History, 'span'> | undefined;
  readonly clock: Clock;
}

/** How the reason of a failed attempt is shown to a caller. */
type ShowError = (error: LastError) => string;

/** Age at which a snapshot is replaced, ms. Less than a second, so that a viewer who asks each second always gets a new one. */
const freshMs = 900;

/** Seconds over which the rates of the first line are averaged. */
const headlineSeconds = 5;

export class StatusBoard {
  readonly #sources: StatusSources;
  readonly #snapshots = new Map<string, { readonly value: unknown; readonly at: number }>();

  constructor(sources: StatusSources) {
    this.#sources = sources;
  }

  /** Returns the value that `make` made under this key less than a second ago, or makes it now. */
  cached<T>(key: string, make: () => T): T {
    const now = this.#sources.clock.monotonic();
    const known = this.#snapshots.get(key);
    if (known !== undefined && now - known.at < freshMs) return known.value as T; // each key has one maker
    const value = make();
    this.#snapshots.set(key, { value, at: now });
    return value;
  }

  facts(showError: ShowError): Facts {
    const { clock, conditions, flow, health, operations, spoolStats, maxSpoolBytes } = this.#sources;
    const now = clock.now();
    return {
      now,
      startedAt: conditions.startedAt,
      draining: health.draining,
      flow: flow.mean(headlineSeconds),
      spool: spoolFacts(spoolStats(), { maxBytes: maxSpoolBytes, refusesSince: conditions.spoolRefusesSince ?? null }),
      history: this.#sources.history?.span() ?? null,
      pools: operations.pools().map((pool) => this.#poolFacts(pool, showError)),
      hosts: this.#hostFacts(now),
      orphaned: operations.orphans().reduce((sum, { waiting }) => sum + waiting, 0),
      removedPauses: operations.removedPauses(),
      reload: conditions.lastReload ?? null,
    };
  }

  #poolFacts({ spoolFullInMs: _, limits, handlers, ...pool }: PoolView, showError: ShowError): PoolFacts {
    const { conditions } = this.#sources;
    const { name, breaker } = pool;
    return {
      ...pool,
      ...limits,
      breakerSince: breaker === 'closed' ? null : (conditions.breaker(name, '')?.since ?? null),
      pausedSince: conditions.pausedSince(name) ?? null,
      lastOverflowAt: conditions.lastOverflow(name) ?? null,
      handlers: handlers.map((queue) => this.#queueFacts(queue, name, showError)),
    };
  }

  #queueFacts({ recent, ...queue }: QueueView, pool: string, showError: ShowError): QueueFacts {
    const { conditions, flow } = this.#sources;
    const { name, breaker } = queue;
    const { lastError } = recent;
    return {
      ...queue,
      breakerSince: breaker === 'closed' ? null : (conditions.breaker(pool, name)?.since ?? null),
      pausedSince: conditions.pausedSince(pool, name) ?? null,
      consecutiveFailures: recent.consecutiveFailures,
      failingSince: conditions.failingSince(pool, name) ?? null,
      lastError: lastError === undefined ? null : { at: lastError.at, text: showError(lastError), nextAt: lastError.nextAt ?? null },
      attempts: recent.attempts,
      accepted: recent.accepted,
      rates: flow.queue(pool, name),
      lastDeath: this.#lastDeath(pool, name, showError),
    };
  }

  #lastDeath(pool: string, handler: string, showError: ShowError): QueueFacts['lastDeath'] {
    const death = this.#sources.conditions.lastDeath(pool, handler);
    if (death === undefined) return null;
    const { at, reason, error } = death;
    return { at, reason, error: error === undefined ? null : showError({ at, reason: error, mayQuote: true }) };
  }

  #hostFacts(now: EpochMs): readonly HostFacts[] {
    const { conditions, health } = this.#sources;
    return health.hosts().map(({ attachment, host, node, state, reason }) => {
      const tap = conditions.tapQueue(attachment, host);
      const lost = conditions.tapHole(attachment, host);
      return {
        ...{ attachment, host, node, state, reason },
        since: conditions.attachment(attachment, node, host)?.since ?? Math.min(now, conditions.startedAt),
        lastPacketAt: conditions.lastPacket(attachment, host) ?? null,
        tap: tap === undefined ? null : { items: tap.items, bytes: tap.bytes, ratio: tap.ratio },
        lost: lost === undefined ? null : { at: lost.at, missing: lost.missing ?? null },
      };
    });
  }

  /** The points of the last seconds, oldest first; `newest` is the number of the last one. */
  history(seconds?: number): { readonly newest: number; readonly points: FlowColumns } {
    const { flow } = this.#sources;
    const { accepted, delivered, dead, failed, waiting, tapFill } = flow.columns(seconds);
    const points = {
      ...{ accepted: accepted.map(rounded), delivered: delivered.map(rounded), dead: dead.map(rounded) },
      ...{ failed: failed.map(rounded), waiting: waiting.map(rounded), tapFill: tapFill.map(rounded) },
    };
    return { newest: flow.newest, points };
  }
}

function spoolFacts(
  { bytes, writable, reason, fullInMs, loss }: SpoolStats,
  { maxBytes, refusesSince }: Pick<SpoolFacts, 'maxBytes' | 'refusesSince'>,
): SpoolFacts {
  return { bytes, maxBytes, writable, reason, refusesSince, fullInMs: fullInMs ?? null, loss };
}

/** Three digits after the point: a fill ratio needs them, and more would double the size of the answer. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
