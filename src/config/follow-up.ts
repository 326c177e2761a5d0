import { z } from 'zod';
import { parseHostRule } from '../kit/network.ts';
import type { BuiltInPool, FollowUpConfig, HandlerConfig, PoolConfig } from './config.ts';
import type { EgressConfig } from './egress.ts';
import { poolSchema } from './pool.ts';
import { defaultTls } from './tls.ts';
import { domain, flag, listOf, section, whole } from './values.ts';

/** Reserved pool names. */
export const builtInPools = ['follow_up', 'follow_up_messages'] as const satisfies readonly BuiltInPool[];

export function isBuiltIn(pool: string): boolean {
  return builtInPools.some((name) => name === pool);
}

/** Reads `follow_up` of a handler. Without `allow`, orders may go to the origin of the handler's pool. */
export function followUpOf(section: FollowUpSection | undefined, { origin }: Pick<PoolConfig, 'origin'>): FollowUpConfig | undefined {
  if (section === undefined || !section.enabled) return undefined;
  const { allow = portedHosts(origin), max_depth: maxDepth, reply_from: replyFrom, default_host: defaultHost } = section;
  return { allow, ownOrigin: origin, maxDepth, replyFrom, defaultHost };
}

/** Empty if the origin has a mistake. */
function portedHosts(origin: string): readonly string[] {
  if (!URL.canParse(origin)) return [];
  const { hostname, port, protocol } = new URL(origin);
  return [`${hostname.replace(/\.$/, '')}:${port || (protocol === 'https:' ? 443 : 80)}`];
}

/** The built-in pools for ordered requests and messages, if a handler has `follow_up`. */
export function followUpPools(handlers: readonly HandlerConfig[], egress: EgressConfig): readonly PoolConfig[] {
  return handlers.some(({ followUp }) => followUp !== undefined) ? builtInPools.map((id) => builtInPool(id, egress)) : [];
}

/** A message that waits for its attachment costs almost nothing and must not delay messages of another attachment. */
const workersOf: Readonly<Record<BuiltInPool, number>> = { follow_up: 10, follow_up_messages: 100 };

/** Servers of third parties may be slow. The pool has many destinations, so one circuit breaker would stop them all. */
const limits = { requestTimeoutMs: 10_000, callTimeoutMs: 30_000, circuitBreaker: undefined } as const;

function builtInPool(id: BuiltInPool, egress: EgressConfig): PoolConfig {
  const { retry, ...pool } = poolSchema.parse({ connection: { host: '' } });
  return {
    ...{ id, client: 'got', origin: '', pathPrefix: '/', workers: workersOf[id], threads: 1, ...limits },
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
    tls: defaultTls,
    egress,
    headers: [],
    oauth: undefined,
    sign: undefined,
  };
}

const hostRuleExpected = 'a host, "*.suffix", an address or a CIDR, with or without ":port", such as "10.0.0.172:5984" or "[fd00::/8]:443"';

const hostRule = z.string({ error: hostRuleExpected }).refine((text) => parseHostRule(text) !== undefined, { error: hostRuleExpected });

const senderExpected = 'a bare JID, such as "bot@chat.example" or "pusher.chat.example"';

const sender = z.string({ error: senderExpected }).regex(/^([^\s"&'/:<>@]+@)?[^\s"&'/:<>@]+$/u, { error: senderExpected });

/** `follow_up` of a handler: limits of the orders of its backend. */
export const followUpSchema = section({
  enabled: flag.default(true),
  allow: listOf(hostRule, 'a list of hosts').optional(),
  max_depth: whole(1, 100).default(10),
  reply_from: sender.optional(),
  default_host: domain.optional(),
});

type FollowUpSection = z.output<typeof followUpSchema>;
