import { AskDeadlines } from '../../src/delivery/ask/deadlines.ts';
import type { DeliveryPolicy, Follow } from '../../src/delivery/attempt.ts';
import { PoolDispatcher, type PoolDispatcherOptions } from '../../src/delivery/pool-dispatcher.ts';
import type { Judgement, Outcome } from '../../src/model/attempt.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { EventBus, Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeEntry } from '../spool/build.ts';
import { createFakeClock } from './fake-clock.ts';
import { createFakeTimers } from './fake-timers.ts';
import { createScriptedThreads, type ScriptedThreads } from './scripted-threads.ts';
import { appendTo } from './spool-promises.ts';

/** A pool dispatcher between a spool in memory and scripted threads. The clock does not advance by itself. */
export interface DeliveryRig {
  readonly spool: Spool;
  readonly dispatcher: PoolDispatcher;
  readonly threads: ScriptedThreads;
  readonly timers: ReturnType<typeof createFakeTimers>;
  readonly events: EventBus;
  /** Dispositions from events, oldest first: `id disposition`. */
  readonly dispositions: readonly string[];
  /** Stores deliveries one after the other, each as the result of one packet. */
  accept(...deliveries: readonly NewDelivery[]): Promise<void>;
  /** Answers the open job of this delivery. */
  answer(id: string, answer: Outcome | number, judgement?: Judgement): Promise<void>;
  /** Ids of the jobs at the threads, in the order of sending. */
  open(): string[];
  now(): number;
  /** Changes the served handlers. */
  serve(handlers: readonly string[]): void;
  /** Advances the clock, and fires all timers. */
  pass(ms: number): Promise<void>;
}

export async function startDeliveryRig({
  workers = 10,
  pool = {},
  handlers = ['push'],
  hasCallbacks = false,
  follow = [],
  policy = {},
  askTimeouts = {},
  onGone = () => undefined,
  started = true,
  clock = createFakeClock(),
  openSpool = createMemorySpool,
  openCarrier,
  onFailed = (error) => {
    throw error;
  },
}: {
  readonly workers?: number;
  readonly pool?: Partial<PoolDispatcherOptions['pool']>;
  readonly handlers?: readonly string[];
  readonly hasCallbacks?: boolean;
  readonly follow?: Follow | readonly Follow[] | undefined;
  readonly policy?: Partial<DeliveryPolicy>;
  /** Timeouts of questions by queue, ms; other queues hold no questions. */
  readonly askTimeouts?: Readonly<Record<string, number>>;
  readonly onGone?: () => void;
  readonly started?: boolean;
  readonly clock?: ReturnType<typeof createFakeClock>;
  /** Opens a spool that is not started yet. Default: in memory. */
  readonly openSpool?: typeof createMemorySpool;
  /** Default: scripted threads. */
  readonly openCarrier?: PoolDispatcherOptions['openCarrier'];
  /** Default: the test fails. */
  readonly onFailed?: (error: Error) => void;
} = {}): Promise<DeliveryRig> {
  const timers = createFakeTimers();
  const events = createEventBus();
  const threads = createScriptedThreads();
  const spool = openSpool({ clock, events });
  const lists = { accept: [], defer: [], refuse: [] };
  const rules = { scheduleMs: [1000, 5000], jitter: 0, maxAgeMs: 86_400_000, holdMs: Number.POSITIVE_INFINITY, lists, ...policy };
  const dispositions: string[] = [];
  events.on('delivery.settled', ({ id, disposition }: Events['delivery.settled']) => dispositions.push(`${id} ${disposition}`));

  const rulesFor = (served: readonly string[]) => ({
    handlers: served,
    policyFor: () => rules,
    hasCallbacks: () => hasCallbacks,
    wantsBody: () => false,
    signs: () => false,
    allowedFor: () => ({ allow: [], ownOrigin: '' }),
    asks: (queue: string) => askTimeouts[queue] !== undefined,
    askTimeoutMs: ({ handler }: { readonly handler: string }) => askTimeouts[handler],
  });
  const dispatcher: PoolDispatcher = new PoolDispatcher({
    pool: { id: 'pool', workers, circuitBreaker: undefined, firstAttemptShare: 0.5, pauseOnGone: false, rateLimit: undefined, ...pool },
    rules: rulesFor(handlers),
    follow: typeof follow === 'function' ? [follow] : follow,
    openDeadlines: (parts) => new AskDeadlines(parts),
    spool,
    openCarrier: openCarrier ?? threads.openWith,
    clock,
    random: () => 0.5,
    timers,
    events,
    onGone,
    onReady: () => dispatcher.wake(),
    onFailed,
  });

  async function accept(...deliveries: readonly NewDelivery[]): Promise<void> {
    for (const delivery of deliveries) {
      const claim = dispatcher.reserve(delivery);
      const [claimed] = await appendTo(spool, makeEntry([delivery], { claim: [claim] }));
      if (claim) dispatcher.release(delivery);
      else dispatcher.unclaimed(delivery);
      if (claimed !== undefined) dispatcher.take(claimed);
    }
    await settled();
  }

  await spool.start();
  if (started) await dispatcher.start();
  await settled();
  return {
    spool,
    dispatcher,
    threads,
    timers,
    events,
    dispositions,
    accept,
    answer: async (id, answer, judgement) => {
      const job = threads.open.find((open) => open.id === id);
      if (job === undefined) throw new Error(`${id} is not at the threads`);
      threads.answer(job, typeof answer === 'number' ? answered(answer) : answer, judgement);
      await settled();
    },
    now: () => clock.now(),
    serve: (served) => dispatcher.change(rulesFor(served)),
    open: () => threads.open.map((job) => job.id),
    pass: async (ms) => {
      clock.advance(ms);
      timers.fire();
      await settled();
    },
  };
}

export function answered(status: number): Outcome {
  return { kind: 'answered', status, durationMs: 3, retryAfter: undefined, excerpt: '', truncated: false };
}

/** The spool in memory answers within one turn of the event loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
