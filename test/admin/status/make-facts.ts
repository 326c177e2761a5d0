import type { Facts, HostFacts, PoolFacts, QueueFacts } from '../../../src/admin/status/facts.ts';

export const now = 1_700_000_000_000;

const idle = { accepted: 0, settled: 0, dead: 0, attempts: 0, failed: 0 };

/** A service that delivers 214 events per second; the changes replace its parts. */
export function makeFacts(changes: Partial<Facts> = {}): Facts {
  return {
    now,
    startedAt: now - 86_400_000,
    draining: false,
    flow: { accepted: 214, delivered: 214, dead: 0, failed: 0, waiting: 0, tapFill: 0 },
    spool: { bytes: 1e6, maxBytes: 1e10, writable: true, reason: '', refusesSince: null, fullInMs: null, loss: '' },
    history: null,
    pools: [makePool()],
    hosts: [makeHost()],
    orphaned: 0,
    removedPauses: [],
    reload: null,
    ...changes,
  };
}

export function makePool(changes: Partial<PoolFacts> = {}): PoolFacts {
  return {
    name: 'http_pool',
    origin: 'http://127.0.0.1:8000',
    workers: 20,
    inFlight: 1,
    waiting: 0,
    dead: 0,
    oldestAt: null,
    paused: false,
    pausedSince: null,
    breaker: 'closed',
    breakerSince: null,
    probeInMs: null,
    maxBacklog: 1_000_000,
    overflow: 'dead-letter-oldest',
    maxAgeMs: 259_200_000,
    lastOverflowAt: null,
    handlers: [makeQueue()],
    ...changes,
  };
}

export function makeQueue(changes: Partial<QueueFacts> = {}): QueueFacts {
  return {
    name: 'push',
    waiting: 0,
    dead: 0,
    breaker: 'closed',
    breakerSince: null,
    probeInMs: null,
    ...{ paused: false, pausedSince: null, pausedUntil: null },
    consecutiveFailures: 0,
    failingSince: null,
    lastError: null,
    attempts: 0,
    accepted: 0,
    rates: idle,
    lastDeath: null,
    ...changes,
  };
}

export function makeHost(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    attachment: 'chat',
    host: 'example.org',
    node: '',
    state: 'attached',
    reason: '',
    since: now - 3_600_000,
    lastPacketAt: now - 400,
    tap: null,
    lost: null,
    ...changes,
  };
}

/** An error `agoMs` ago. */
export function makeError(text: string, agoMs = 1000, nextInMs?: number) {
  return { text, at: now - agoMs, nextAt: nextInMs === undefined ? null : now + nextInMs };
}
