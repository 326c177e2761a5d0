import type { PoolConfig } from '../../src/config/config.ts';
import { makeThreadSettings } from './make-job.ts';

/** The pool `http_pool`, with deadlines and limits that no test reaches by accident. */
export function makePoolConfig({
  retry,
  ...pool
}: Partial<Omit<PoolConfig, 'retry'>> & { readonly retry?: Partial<PoolConfig['retry']> } = {}): PoolConfig {
  const { client, origin, workers, requestTimeoutMs, callTimeoutMs, maxConnectionAgeMs, maxResponseBytes, tls } = makeThreadSettings();
  return {
    id: 'http_pool',
    client,
    origin,
    pathPrefix: '/',
    workers,
    threads: 1,
    requestTimeoutMs,
    callTimeoutMs,
    maxConnectionAgeMs,
    maxResponseBytes,
    firstAttemptShare: 0.5,
    pauseOnGone: false,
    rateLimit: undefined,
    circuitBreaker: undefined,
    maxBacklog: 1_000_000,
    overflow: 'dead-letter-oldest',
    tls,
    egress: { proxy: undefined, direct: [], allow: [] },
    headers: [],
    oauth: undefined,
    sign: undefined,
    ...pool,
    retry: { scheduleMs: [1000, 5000], jitter: 0, maxAgeMs: 3_600_000, accept: [], defer: [], refuse: [], ...retry },
  };
}
