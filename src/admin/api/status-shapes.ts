/** Responses of the status routes; the command line and the dashboard read them. */
import { z } from 'zod';
import { addedLater, count, time } from './values.ts';

const rate = z.number().min(0);
const when = time.nullable();
const ms = z.number().min(0).nullable();

const level = z
  .enum(['critical', 'warning', 'notice'])
  .describe('`critical`: events are not delivered, or are lost. `warning`: they will be unless it changes. `notice`: nothing to do.');

const lineShape = z.object({
  level,
  subject: z.object({
    kind: z.enum(['attachment', 'handler', 'pool', 'service', 'spool']),
    pool: z.string().optional(),
    handler: z.string().optional(),
    attachment: z.string().optional(),
  }),
  text: z.string().describe('The whole line as one sentence.'),
  what: z.string(),
  since: when,
  error: z
    .object({ text: z.string(), at: time })
    .nullable()
    .describe('The last error. `[hidden]` in parts for callers that may not see content.'),
  waiting: count,
  oldestAt: when,
  loss: z.object({ inMs: z.number(), text: z.string() }).nullable().describe('Time until events are given up or intake stops, ms.'),
  next: z.string().describe('What happens next by itself; may be empty.'),
  action: z.enum(['dead-letters', 'probe', 'resume', 'send-test']).nullable().describe('What an operator can do about it at once.'),
});

const verdictShape = z.object({
  level: z.enum(['critical', 'warning', 'notice', 'well']),
  headline: z.string(),
  lines: z.array(lineShape).describe('At most five, worst first.'),
  more: count.describe('Number of findings beyond these lines.'),
});

const breaker = z.enum(['closed', 'half-open', 'open', 'slow-start']);

const queueShape = z.object({
  name: z.string(),
  waiting: count,
  dead: count,
  paused: addedLater(z.boolean(), false).describe('Whether an operator has paused this handler; its pool may be paused as well.'),
  pausedSince: addedLater(when, null),
  breaker,
  probeInMs: ms,
  pausedUntil: when,
  consecutiveFailures: count,
  failingSince: when,
  lastError: z.object({ at: time, text: z.string(), nextAt: when }).nullable(),
  recentAttempts: count.describe('Attempts in the last five minutes.'),
  successRate: z.number().min(0).max(1).nullable().describe('Accepted fraction of `recentAttempts`; null if there are none.'),
  acceptedPerSecond: rate.describe('Deliveries added, averaged over the last minute.'),
  settledPerSecond: rate.describe('Deliveries delivered or given up, averaged over the last minute.'),
  drainMs: ms.describe('Time until the queue is empty at the present rate; null if it does not shrink.'),
});

const poolShape = z.object({
  name: z.string(),
  origin: z.string(),
  workers: count,
  inFlight: count,
  waiting: count,
  dead: count,
  oldestAt: when,
  paused: z.boolean(),
  pausedSince: when,
  breaker,
  probeInMs: ms,
  maxBacklog: count,
  drainMs: ms,
  trouble: z.enum(['critical', 'warning', 'notice']).nullable().describe('The worst line of the verdict about this pool or its handlers.'),
  handlers: z.array(queueShape),
});

const hostShape = z.object({
  attachment: z.string(),
  host: z.string(),
  node: z.string().describe('Empty if the attachment has one node.'),
  state: z.enum(['attached', 'connecting', 'offline', 'refused', 'resuming', 'standby']),
  reason: z.string(),
  since: time,
  lastPacketAt: when,
  tap: z.object({ items: count, bytes: count, ratio: z.number() }).nullable().describe('The queue of the tap in the chat server.'),
  lost: z
    .object({ at: time, missing: count.nullable() })
    .nullable()
    .describe('The last loss in the chat server; `missing` null: of unknown size.'),
});

const column = z.array(rate);

const pointsShape = z.object({ accepted: column, delivered: column, dead: column, failed: column, waiting: column, tapFill: column });

export const statusShape = z.object({
  at: time,
  startedAt: time,
  version: z.string(),
  caller: z
    .object({
      name: addedLater(z.string(), ''),
      operate: addedLater(z.boolean(), true),
      content: z.boolean(),
      signedIn: z.boolean(),
    })
    .describe(
      'Name of the caller (empty without a named token), whether it may change anything and see content, and whether it is a browser that has signed in.',
    ),
  verdict: verdictShape,
  flow: z.object({
    newest: count.describe('Number of the last point of the hour; it grows by one each second.'),
    recent: pointsShape.describe('The last ten points, oldest first.'),
    mean: z
      .object({ accepted: rate, delivered: rate, dead: rate, failed: rate, waiting: rate, tapFill: rate })
      .describe('Averages of the last five seconds; `waiting` and `tapFill` are the present ones.'),
  }),
  spool: z.object({
    bytes: count,
    maxBytes: count.describe('0 if the engine has no limit.'),
    writable: z.boolean(),
    reason: z.string(),
    fullInMs: ms,
  }),
  history: addedLater(z.object({ since: time.nullable(), bytes: count }).nullable(), null).describe(
    'The span of settled events that is recorded; null if they are not. It begins with null before the first one.',
  ),
  pools: z.array(poolShape).describe('Worst first.'),
  hosts: z.array(hostShape).describe('Worst first.'),
  orphaned: count,
  removedPauses: addedLater(z.array(z.object({ pool: z.string(), handler: z.string().nullable() })), []).describe(
    'Pauses of pools (`handler` null) and of handlers that are not configured; `resume` ends them.',
  ),
  reload: z.object({ at: time, result: z.enum(['applied', 'refused', 'restart']), reason: z.string() }).nullable(),
});

export const flowShape = z.object({
  newest: count.describe('Number of the last point; it grows by one each second.'),
  points: pointsShape.describe('One value per second for the last hour, oldest first.'),
});
