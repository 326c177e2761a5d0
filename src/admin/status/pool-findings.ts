/** What is wrong with pools and their handlers. One outage is one finding: that of the pool hides those of its handlers. */
import type { Facts, PoolFacts, QueueFacts } from './facts.ts';
import { type Finding, type Loss, nothingMore } from './finding.ts';
import { amount, number, percent, perSecond, span } from './wording.ts';

/** How long a dead letter, or a full backlog, stays in the verdict after the last one, ms. */
const recentMs = 600_000;

/** Share of failed attempts within the last minute that is worth a line. */
const notableShare = 0.05;

/** Age of the oldest delivery above which a growing backlog is worth a line, ms. */
const slowMs = 60_000;

export function poolFindings(facts: Facts): readonly Finding[] {
  return facts.pools.flatMap((pool) => {
    const whole = poolFinding(pool, facts);
    const own = whole === undefined ? ofQueues(pool, facts) : [whole];
    const slow = own.length === 0 ? slowFinding(pool, facts) : [];
    return [...own, ...slow, ...overflowFinding(pool, facts), ...pool.handlers.flatMap((queue) => deadFinding(queue, pool, facts))];
  });
}

/** A condition that stops the whole pool. */
function poolFinding(pool: PoolFacts, facts: Facts): Finding | undefined {
  const { name, paused, pausedSince, waiting, breaker } = pool;
  const about = { ...nothingMore, ...backlogOf(pool), subject: { kind: 'pool', pool: name }, loss: lossOf(pool, facts) } as const;
  if (paused) {
    const level = waiting > 0 ? 'warning' : 'notice';
    const next = 'waits until it is resumed';
    return { ...about, level, what: `${name}: paused`, since: pausedSince, next, action: 'resume' };
  }
  if (breaker === 'closed') return undefined;
  return { ...about, ...brokenOff(pool, newestError(pool.handlers)), what: `${name}: ${breakerText[breaker]}` };
}

/** An open breaker, or one that recovers. */
function brokenOff({ breaker, breakerSince: since, probeInMs }: PoolFacts | QueueFacts, error: Finding['error']) {
  if (breaker === 'slow-start') return { level: 'notice', since, next: 'more requests with each success' } as const;
  if (breaker === 'half-open') return { level: 'critical', since, error, next: 'a probe is being sent' } as const;
  return { level: 'critical', since, error, next: `next probe in ${span(probeInMs ?? 0)}`, action: 'probe' } as const;
}

const breakerText = { closed: 'sending', 'half-open': 'breaker probing', open: 'breaker open', 'slow-start': 'recovering' } as const;

/** What is wrong with a handler, in short. */
type Trouble = 'asked-to-wait' | 'failing' | 'open' | 'paused' | 'recovering' | 'unsteady';

interface QueueTrouble {
  readonly trouble: Trouble;
  readonly finding: Finding;
}

/** If several handlers have the same trouble, their backend has it: one finding of the pool stands for them. A pause is of one handler. */
function ofQueues(pool: PoolFacts, facts: Facts): readonly Finding[] {
  const troubles = pool.handlers.flatMap((queue) => queueTrouble(queue, pool, facts) ?? []);
  const [first] = troubles;
  const isSame = ({ trouble, finding }: QueueTrouble) =>
    trouble === first?.trouble && finding.error?.text === first.finding.error?.text && finding.level === first.finding.level;
  if (first === undefined || first.trouble === 'paused' || troubles.length < 2 || !troubles.every(isSame))
    return troubles.map(({ finding }) => finding);
  const began = troubles.flatMap(({ finding }) => finding.since ?? []);
  const what = `${pool.name}: ${number(troubles.length, 'handler')} ${troubleText[first.trouble]}`;
  const subject = { ...first.finding.subject, kind: 'pool' } as const;
  return [{ ...first.finding, ...backlogOf(pool), subject, what, since: began.length === 0 ? null : Math.min(...began) }];
}

const troubleText: Readonly<Record<Trouble, string>> = {
  'asked-to-wait': 'were asked to wait by the backend',
  failing: 'fail',
  open: 'have an open breaker',
  paused: 'are paused',
  recovering: 'recover',
  unsteady: 'fail at times',
};

function queueTrouble(queue: QueueFacts, pool: PoolFacts, facts: Facts): QueueTrouble | undefined {
  const { name, waiting, paused, pausedSince, breaker, pausedUntil } = queue;
  const on = `${name} on ${pool.name}`;
  const subject = { kind: 'handler', pool: pool.name, handler: name } as const;
  const about = { ...nothingMore, subject, waiting, oldestAt: onlyQueueOf(pool) ? pool.oldestAt : null, loss: lossOf(pool, facts) };
  if (paused) {
    const level = waiting > 0 ? 'warning' : 'notice';
    const next = 'waits until it is resumed';
    return { trouble: 'paused', finding: { ...about, level, what: `${on}: paused`, since: pausedSince, next, action: 'resume' } };
  }
  if (pausedUntil !== null) {
    const next = `sends again in ${span(pausedUntil - facts.now)}`;
    const what = `${on}: its backend asked to wait`;
    return { trouble: 'asked-to-wait', finding: { ...about, level: 'warning', what, error: queue.lastError, next } };
  }
  if (breaker !== 'closed') {
    const trouble = breaker === 'slow-start' ? 'recovering' : 'open';
    return { trouble, finding: { ...about, ...brokenOff(queue, queue.lastError), what: `${on}: ${breakerText[breaker]}` } };
  }
  return attemptTrouble(queue, facts, { ...about, on });
}

type About = Omit<Finding, 'level' | 'what'> & { readonly on: string };

/** Attempts fail, and no breaker is open: at low traffic it has too few attempts to judge by. */
function attemptTrouble(queue: QueueFacts, facts: Facts, { on, ...about }: About): QueueTrouble | undefined {
  const { consecutiveFailures, failingSince, lastError, rates } = queue;
  const share = rates.attempts === 0 ? 0 : rates.failed / rates.attempts;
  const rest = { ...about, error: lastError, next: nextAttempt(queue, facts), action: 'send-test' } as const;
  if (consecutiveFailures >= 3 || (consecutiveFailures > 0 && share >= 0.5)) {
    const what = `${on}: ${consecutiveFailures === 1 ? 'the last attempt' : `the last ${amount(consecutiveFailures)} attempts`} failed`;
    return { trouble: 'failing', finding: { ...rest, level: 'critical', what, since: failingSince } };
  }
  if (share < notableShare || lastError === null) return undefined;
  const what = `${on}: ${percent(share)} of the attempts of the last minute failed`;
  return { trouble: 'unsteady', finding: { ...rest, level: 'warning', what, loss: null } };
}

function nextAttempt({ lastError, waiting }: QueueFacts, { now }: Facts): string {
  if (waiting === 0) return '';
  const nextAt = lastError?.nextAt ?? null;
  return nextAt === null || nextAt <= now ? '' : `next attempt in ${span(nextAt - now)}`;
}

/** Nothing fails, but more comes than is sent. */
function slowFinding(pool: PoolFacts, facts: Facts): readonly Finding[] {
  const { name, waiting, oldestAt } = pool;
  const growth = growthOf(pool);
  if (oldestAt === null || facts.now - oldestAt < slowMs || growth < 0.5) return [];
  const what = `${name}: slower than its traffic, ${perSecond(growth)} more waiting`;
  const finding = { ...nothingMore, subject: { kind: 'pool', pool: name }, level: 'warning', what, waiting, oldestAt } as const;
  return [{ ...finding, loss: lossOf(pool, facts) }];
}

function overflowFinding(pool: PoolFacts, { now }: Facts): readonly Finding[] {
  const { name, lastOverflowAt, overflow, maxBacklog } = pool;
  if (lastOverflowAt === null || now - lastOverflowAt > recentMs) return [];
  const what = `${name}: its backlog is full (max_backlog ${amount(maxBacklog)})`;
  const about = { ...nothingMore, ...backlogOf(pool), subject: { kind: 'pool', pool: name } } as const;
  const action = overflow === 'hold-intake' ? null : 'dead-letters';
  return [{ ...about, level: 'critical', what, next: overflowText[overflow], action }];
}

const overflowText = {
  'dead-letter-oldest': 'the oldest become dead letters',
  'hold-intake': 'intake of all pools waits',
  refuse: 'new ones become dead letters',
} as const;

function deadFinding({ name, dead, lastDeath }: QueueFacts, pool: PoolFacts, { now }: Facts): readonly Finding[] {
  if (lastDeath === null || dead === 0 || now - lastDeath.at > recentMs) return [];
  const what = `${name} on ${pool.name}: ${number(dead, 'dead letter')}, the last ${span(now - lastDeath.at)} ago (${lastDeath.reason})`;
  const subject = { kind: 'handler', pool: pool.name, handler: name } as const;
  const error = lastDeath.error === null ? null : { text: lastDeath.error, at: lastDeath.at };
  return [{ ...nothingMore, level: 'warning', subject, what, error, action: 'dead-letters' }];
}

function backlogOf({ waiting, oldestAt }: PoolFacts): Pick<Finding, 'oldestAt' | 'waiting'> {
  return { waiting, oldestAt };
}

/** The age of the oldest is known by pool. */
function onlyQueueOf({ handlers }: PoolFacts): boolean {
  return handlers.filter(({ waiting }) => waiting > 0).length <= 1;
}

function newestError(handlers: readonly QueueFacts[]): Finding['error'] {
  return handlers.flatMap(({ lastError }) => lastError ?? []).toSorted((one, other) => other.at - one.at)[0] ?? null;
}

/** Deliveries per second by which a pool's backlog grows. */
export function growthOf({ handlers }: Pick<PoolFacts, 'handlers'>): number {
  return handlers.reduce((sum, { rates }) => sum + rates.accepted - rates.settled, 0);
}

/** Time until a waiting queue is empty at the present rate, ms; null if it does not shrink. */
export function drainMsOf(waiting: number, growth: number): number | null {
  if (waiting === 0) return 0;
  return growth < 0 ? (waiting / -growth) * 1000 : null;
}

/** The first of: the disk is full, the backlog is full, the oldest delivery is too old. */
function lossOf(pool: PoolFacts, { now, spool }: Facts): Loss | null {
  const { waiting, oldestAt, maxAgeMs, maxBacklog } = pool;
  if (waiting === 0) return null;
  const growth = growthOf(pool);
  const backlogMs = growth > 0 ? (Math.max(0, maxBacklog - waiting) / growth) * 1000 : Number.POSITIVE_INFINITY;
  const ageMs = oldestAt === null ? Number.POSITIVE_INFINITY : Math.max(0, oldestAt + maxAgeMs - now);
  const losses = [
    { inMs: spool.fullInMs ?? Number.POSITIVE_INFINITY, text: `disk lasts ${span(spool.fullInMs ?? 0)}` },
    { inMs: backlogMs, text: `backlog full in ${span(backlogMs)}` },
    { inMs: ageMs, text: `oldest is given up in ${span(ageMs)}` },
  ];
  const [first] = losses.toSorted((one, other) => one.inMs - other.inMs);
  return first === undefined || first.inMs === Number.POSITIVE_INFINITY ? null : first;
}
