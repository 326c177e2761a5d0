/** The state of the service for the dashboard and `event-pusher status`. */
import type { z } from 'zod';
import type { EpochMs } from '../../kit/clock.ts';
import { packageVersion } from '../../kit/process.ts';
import type { LastError } from '../../telemetry/recent.ts';
import type { StatusBoard } from '../status/board.ts';
import type { Facts, HostFacts, PoolFacts, QueueFacts } from '../status/facts.ts';
import type { Level } from '../status/finding.ts';
import { drainMsOf, growthOf } from '../status/pool-findings.ts';
import { type Verdict, type VerdictLine, verdictOf } from '../status/verdict.ts';
import { withoutQuotes } from './content.ts';
import { type ApiDependencies, defineRoute, type Route } from './route.ts';
import { flowShape, statusShape } from './status-shapes.ts';
import { noParameters, rfc3339 } from './values.ts';

export function statusRoutes({ status }: ApiDependencies): readonly Route[] {
  const show = defineRoute({
    method: 'GET',
    path: '/status',
    summary: 'Shows what is wrong, what flows, and the state of pools and attachments. Made once per second for all callers.',
    parameters: noParameters,
    response: statusShape,
    handle: (_, { name, mayOperate: operate, mayReadContent: content, signedIn }) => {
      const shared = status.cached(`status ${content}`, () => {
        const facts = status.facts((error) => shownError(error, content));
        return statusView(facts, status.history(recentSeconds));
      });
      return { ...shared, caller: { name, operate, content, signedIn } };
    },
  });

  const flow = defineRoute({
    method: 'GET',
    path: '/status/flow',
    summary: 'Shows the flow of the last hour, one value per second.',
    parameters: noParameters,
    response: flowShape,
    handle: () => status.cached('flow', () => status.history()),
  });
  return [show, flow];
}

function shownError({ reason, mayQuote }: LastError, mayReadContent: boolean): string {
  return mayReadContent ? reason : withoutQuotes(reason, !mayQuote);
}

type Status = z.input<typeof statusShape>;

/** Points of the flow in each answer: a viewer that asks each second has no gaps. */
const recentSeconds = 10;

function statusView(facts: Facts, { newest, points }: ReturnType<StatusBoard['history']>): Omit<Status, 'caller'> {
  const { now, startedAt, flow, spool, history, orphaned, removedPauses, reload } = facts;
  const { bytes, maxBytes, writable, reason, fullInMs } = spool;
  const verdict = verdictOf(facts);
  return {
    at: rfc3339(now),
    startedAt: rfc3339(startedAt),
    version: packageVersion(),
    verdict: verdictView(verdict),
    flow: { newest, recent: points, mean: flow },
    spool: { bytes, maxBytes, writable, reason, fullInMs },
    history: history && { since: instant(history.since), bytes: history.bytes },
    pools: facts.pools.map((pool) => poolView(pool, verdict)).toSorted(byTrouble),
    hosts: facts.hosts.toSorted((one, other) => Number(one.state === 'attached') - Number(other.state === 'attached')).map(hostView),
    orphaned,
    removedPauses: [...removedPauses],
    reload: reload === null ? null : { ...reload, at: rfc3339(reload.at) },
  };
}

function verdictView({ level, headline, lines, more }: Verdict): Status['verdict'] {
  return { level, headline, lines: lines.map(lineView), more };
}

function lineView({ since, oldestAt, error, ...line }: VerdictLine): Status['verdict']['lines'][number] {
  return {
    ...line,
    since: instant(since),
    oldestAt: instant(oldestAt),
    error: error === null ? null : { text: error.text, at: rfc3339(error.at) },
  };
}

type PoolStatus = Status['pools'][number];

function poolView(pool: PoolFacts, { lines }: Verdict): PoolStatus {
  const { name, origin, workers, inFlight, waiting, dead, oldestAt, paused, pausedSince, breaker, probeInMs, maxBacklog } = pool;
  const levels = lines.filter(({ subject }) => subject.pool === name).map(({ level }) => level);
  return {
    ...{ name, origin, workers, inFlight, waiting, dead, paused, breaker, probeInMs, maxBacklog },
    oldestAt: instant(oldestAt),
    pausedSince: instant(pausedSince),
    drainMs: drainMsOf(waiting, growthOf(pool)),
    trouble: worstOf(levels),
    handlers: pool.handlers.map(queueView),
  };
}

function queueView(queue: QueueFacts): PoolStatus['handlers'][number] {
  const { name, waiting, dead, paused, pausedSince, breaker, probeInMs, pausedUntil, consecutiveFailures } = queue;
  const { failingSince, lastError, attempts, accepted, rates } = queue;
  return {
    ...{ name, waiting, dead, paused, breaker, probeInMs, consecutiveFailures },
    pausedSince: instant(pausedSince),
    pausedUntil: instant(pausedUntil),
    failingSince: instant(failingSince),
    lastError: lastError === null ? null : { text: lastError.text, at: rfc3339(lastError.at), nextAt: instant(lastError.nextAt) },
    recentAttempts: attempts,
    successRate: attempts === 0 ? null : accepted / attempts,
    acceptedPerSecond: rates.accepted,
    settledPerSecond: rates.settled,
    drainMs: drainMsOf(waiting, rates.accepted - rates.settled),
  };
}

function hostView({ since, lastPacketAt, lost, ...host }: HostFacts): Status['hosts'][number] {
  return {
    ...host,
    since: rfc3339(since),
    lastPacketAt: instant(lastPacketAt),
    lost: lost === null ? null : { ...lost, at: rfc3339(lost.at) },
  };
}

const ranks: readonly (Level | null)[] = ['critical', 'warning', 'notice', null];

function worstOf(levels: readonly Level[]): Level | null {
  return ranks.find((rank) => rank === null || levels.includes(rank)) ?? null;
}

function byTrouble(one: PoolStatus, other: PoolStatus): number {
  return ranks.indexOf(one.trouble ?? null) - ranks.indexOf(other.trouble ?? null) || other.waiting - one.waiting;
}

function instant(at: EpochMs | null): string | null {
  return at === null ? null : rfc3339(at);
}
