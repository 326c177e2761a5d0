/** Questions and answers about pools, and queues that belong to none. */
import { z } from 'zod';
import { section, text } from '../../config/schema/values.ts';
import { count, time } from './values.ts';

const breaker = z.enum(['closed', 'half-open', 'open', 'slow-start']);

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
  breaker,
  handlers: z.array(
    z.object({
      name: z.string(),
      waiting: count,
      dead: count,
      breaker,
      /** Until when its backend has asked for patience. */
      pausedUntil: time.nullable(),
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
