/** Questions and answers about pools, and queues that belong to none. */
import { z } from 'zod';
import { section, text } from '../../config/schema/values.ts';
import { count, time } from './values.ts';

const breaker = z.enum(['closed', 'half-open', 'open', 'slow-start']);

/** Of a handler, and of all handlers of a pool together. */
const standingKeys = {
  consecutiveFailures: count.describe('Attempts since the last accepted one; of a pool: of its worst handler.'),
  lastError: z
    .object({ at: time, reason: z.string() })
    .nullable()
    .describe('Why the last failed attempt was not accepted. Callers that may not see content get `[hidden]` for what a callback threw.'),
  recentAttempts: count.describe('Attempts of the last five minutes.'),
  successRate: z.number().min(0).max(1).nullable().describe('Part of those that was accepted; null without attempts.'),
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
    .describe('Until intake of all pools waits for room on the disk, at the rate of the last five minutes; null: the spool does not grow.'),
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
