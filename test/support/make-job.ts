import type { Job, PoolThreadSettings, PoolTls } from '../../pools/contract.ts';
import { defaultTls } from '../../src/config/tls.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';

/** A job with default values; a test sets only the relevant ones. */
export function makeJob(job: Partial<Job> = {}): Job {
  return {
    key: 1,
    id: '0198a0a0-0000-7000-8000-000000000001' as DeliveryId,
    attempt: 1,
    method: 'POST',
    path: '/notifications',
    headers: [['content-type', 'application/x-www-form-urlencoded']],
    body: 'author=alice&server=localhost&receiver=bob&message=Hi',
    seenAt: '2026-11-22T03:44:00.123Z',
    ...job,
  };
}

/** Settings of a pool thread, with deadlines that no test reaches by accident. */
export function makeThreadSettings({
  tls,
  ...settings
}: Partial<Omit<PoolThreadSettings, 'tls'>> & { readonly tls?: Partial<PoolTls> } = {}): PoolThreadSettings {
  return {
    name: 'http_pool',
    client: 'undici',
    origin: 'http://127.0.0.1:1',
    workers: 10,
    requestTimeoutMs: 20_000,
    callTimeoutMs: 30_000,
    maxConnectionAgeMs: Number.POSITIVE_INFINITY,
    maxResponseBytes: 65_536,
    userAgent: 'xmpp-event-pusher/test',
    handlers: [],
    egress: { proxy: undefined, direct: [], allow: [] },
    headers: [],
    tokens: undefined,
    signing: undefined,
    callbackTimeoutMs: 20_000,
    ...settings,
    tls: { ...defaultTls, ...tls },
  };
}
