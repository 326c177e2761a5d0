/** Questions and answers about pools, and queues that belong to none. */
import { z } from 'zod';
import { section, text } from '../../config/values.ts';
import { count, time } from './values.ts';

const breaker = z.enum(['closed', 'half-open', 'open', 'slow-start']);

/** Recent attempts of a handler, or of all handlers of a pool. */
const standingKeys = {
  consecutiveFailures: count.describe('Attempts since the last accepted one; for a pool, the maximum of its handlers.'),
  lastError: z
    .object({ at: time, reason: z.string() })
    .nullable()
    .describe(
      'Why the last failed attempt was not accepted. For callers that may not see content, the error text of a callback is `[hidden]`.',
    ),
  recentAttempts: count.describe('Attempts in the last five minutes.'),
  successRate: z.number().min(0).max(1).nullable().describe('Accepted fraction of `recentAttempts`; null if there are none.'),
};

export const poolShape = z.object({
  name: z.string(),
  origin: z.string(),
  workers: count,
  inFlight: count,
  waiting: count,
  dead: count,
  paused: z.boolean(),
  /** When the oldest delivery still owed was accepted. */
  oldestAt: time.nullable(),
  spoolFullInSeconds: count
    .nullable()
    .describe(
      'Seconds until intake of all pools stops because the spool is full, at the rate of the last five minutes; null: the spool does not grow.',
    ),
  breaker,
  ...standingKeys,
  handlers: z.array(
    z.object({
      name: z.string(),
      waiting: count,
      dead: count,
      breaker,
      /** Until when its backend has asked for patience. */
      pausedUntil: time.nullable(),
      ...standingKeys,
    }),
  ),
});

export const poolList = z.array(poolShape);

export const poolQuestion = section({ pool: text });

export const pausedShape = z.object({ pool: z.string(), paused: z.boolean() });

/** The deliveries of one handler on one pool. */
export const queue = section({ pool: text, handler: text }, 'a table with "pool" and "handler"');

export const orphanList = z.array(z.object({ pool: z.string(), handler: z.string(), waiting: count }));

export const moveQuestion = section({ from: queue, to: queue });

export const countShape = z.object({ count });
