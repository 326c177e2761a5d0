import type { BuiltInPool, FollowUpConfig, HandlerConfig, PoolConfig } from './config.ts';
import type { FollowUpSection } from './schema/follow-up.ts';
import { poolSchema } from './schema/pool.ts';
import { untouchedTls } from './tls.ts';

/** Names that no file may give to a pool. */
export const builtInPools = ['follow_up', 'follow_up_messages'] as const satisfies readonly BuiltInPool[];

export function isBuiltIn(pool: string): boolean {
  return builtInPools.some((name) => name === pool);
}

/** What a handler's `follow_up` comes to; without `allow` its orders may go to its own pool's origin. */
export function followUpOf(section: FollowUpSection | undefined, { origin }: Pick<PoolConfig, 'origin'>): FollowUpConfig | undefined {
  if (section === undefined || !section.enabled) return undefined;
  const { allow = portedHosts(origin), max_depth: maxDepth, reply_from: replyFrom, default_host: defaultHost } = section;
  return { allow, ownOrigin: origin, maxDepth, replyFrom, defaultHost };
}

/** None of an origin with a mistake in it. */
function portedHosts(origin: string): readonly string[] {
  if (!URL.canParse(origin)) return [];
  const { hostname, port, protocol } = new URL(origin);
  return [`${hostname.replace(/\.$/, '')}:${port || (protocol === 'https:' ? 443 : 80)}`];
}

/** The pools of what answers order, where a handler follows up. */
export function followUpPools(handlers: readonly HandlerConfig[]): readonly PoolConfig[] {
  return handlers.some(({ followUp }) => followUp !== undefined) ? builtInPools.map(builtInPool) : [];
}

/** A message that waits for its attachment costs next to nothing, and must not hold up those of another. */
const workersOf: Readonly<Record<BuiltInPool, number>> = { follow_up: 10, follow_up_messages: 100 };

/** Somebody else's server may take its time. What is sick is one of many, so no breaker stops the others. */
const patience = { requestTimeoutMs: 10_000, callTimeoutMs: 30_000, circuitBreaker: undefined } as const;

function builtInPool(id: BuiltInPool): PoolConfig {
  const { retry, ...pool } = poolSchema.parse({ connection: { host: '' } });
  return {
    ...{ id, client: 'got', origin: '', pathPrefix: '/', workers: workersOf[id], threads: 1, ...patience },
    maxConnectionAgeMs: pool.max_connection_age,
    maxResponseBytes: pool.max_response_size,
    retry: {
      scheduleMs: retry.schedule,
      jitter: retry.jitter,
      maxAgeMs: retry.max_age,
      ...{ accept: [], defer: [], refuse: [] },
    },
    firstAttemptShare: retry.first_attempt_share,
    pauseOnGone: false,
    rateLimit: undefined,
    maxBacklog: pool.max_backlog,
    overflow: pool.overflow,
    tls: untouchedTls,
  };
}
