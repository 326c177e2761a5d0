import { z } from 'zod';
import type { CircuitBreakerConfig, HandlerConfig, PoolConfig } from './config.ts';
import { poolProxy } from './egress.ts';
import { asTable, type Path } from './mistakes.ts';
import { readOAuth } from './oauth.ts';
import { authSchema, headersSchema, poolHeadersOf } from './pool-headers.ts';
import type { SectionReader } from './section-reader.ts';
import { signSchema } from './sign.ts';
import { readTls, tls } from './tls.ts';
import { anyText, duration, durationOrForever, flag, oneOf, rateLimit, rateLimitOf, section, share, size, wait, whole } from './values.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const statusCodes = z.array(whole(100, 599), { error: 'a list of status codes' });

/** Retries, and status codes whose default verdict is overridden. */
const retry = section({
  schedule: z
    .array(duration, { error: 'a list of durations, one per retry' })
    .default([1000, 5000, 30_000, 2 * minute, 10 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour]),
  jitter: share.default(0.2),
  max_age: duration.default(3 * day),
  accept: statusCodes.default([]),
  defer: statusCodes.default([]),
  refuse: statusCodes.default([]),
  first_attempt_share: share.default(0.5),
  pause_on_gone: flag.default(false),
});

const ratio = 'a number above 0, at most 1';

/** `max_open` defaults to five minutes, or to `open` if that is longer. */
const circuitBreaker = z.preprocess(
  (value) => (typeof value === 'boolean' ? { enabled: value } : value),
  section(
    {
      enabled: flag.default(true),
      failure_ratio: z.number({ error: ratio }).gt(0, { error: ratio }).max(1, { error: ratio }).default(0.5),
      min_attempts: whole(1).default(20),
      window: wait.default(30_000),
      open: wait.default(30_000),
      max_open: wait.optional(),
    },
    'a table, or false for none',
  ),
);

const connection = section(
  {
    host: z.string({ error: 'http://host[:port] or https://host[:port]' }),
    path_prefix: anyText.default('/'),
    request_timeout: wait.default(2000),
    tls: tls.optional(),
  },
  'a table with host, which is http://host[:port] or https://host[:port]',
);

/** `[outgoing_pools.http.NAME]`: MongooseIM's options, then ours. */
export const poolSchema = section({
  scope: oneOf(['global', 'host', 'host_type']).default('global'),
  workers: whole(1).default(10),
  strategy: oneOf(['best_worker', 'random_worker', 'next_worker', 'available_worker', 'next_available_worker']).optional(),
  call_timeout: wait.default(5000),
  max_worker_queue_len: whole(0).optional(),
  connection,
  client: oneOf(['got', 'undici']).default('undici'),
  proxy: poolProxy,
  threads: whole(1).optional(),
  max_connection_age: durationOrForever.default(5 * minute),
  max_response_size: size.default(1024 * 1024),
  retry: retry.prefault({}),
  rate_limit: rateLimit.optional(),
  circuit_breaker: circuitBreaker.prefault({}),
  max_backlog: whole(1).default(1_000_000),
  overflow: oneOf(['dead-letter-oldest', 'refuse', 'hold-intake']).default('dead-letter-oldest'),
  headers: headersSchema.prefault({}),
  auth: authSchema.optional(),
  sign: signSchema.optional(),
});

type PoolSection = z.output<typeof poolSchema>;

/** A pool without what other sections add. */
interface PoolOnly extends Omit<PoolConfig, 'egress' | 'id'> {
  readonly proxy: PoolSection['proxy'];
}

/** Reads the table of one pool; undefined if it has mistakes. */
export async function readPool(value: unknown, path: Path, reader: SectionReader): Promise<PoolOnly | undefined> {
  const pool = reader.read(poolSchema, value, path);
  if (pool !== undefined) {
    noticePoolDifferences({ pool, isCallTimeoutGiven: 'call_timeout' in asTable(value), path }, reader);
    return normalize(pool, path, reader);
  }

  // another mistake in the pool must not hide one in its URL until the next check
  const { host, path_prefix: prefix } = asTable(asTable(value)['connection']);
  if (typeof host === 'string') readOrigin(host, [...path, 'connection', 'host'], reader);
  if (typeof prefix === 'string') checkPrefix(prefix, [...path, 'connection', 'path_prefix'], reader);
  return undefined;
}

async function normalize(pool: PoolSection, path: Path, reader: SectionReader): Promise<PoolOnly> {
  const { connection, retry } = pool;
  const connectionPath = [...path, 'connection'];
  const origin = readOrigin(connection.host, [...connectionPath, 'host'], reader);
  checkPrefix(connection.path_prefix, [...connectionPath, 'path_prefix'], reader);
  checkLimits(pool, path, reader);
  checkStatusCodes(retry, [...path, 'retry'], reader);

  return {
    client: pool.client,
    proxy: pool.proxy,
    origin,
    pathPrefix: `/${connection.path_prefix.replace(/^\/+/, '')}`,
    workers: pool.workers,
    threads: pool.threads,
    requestTimeoutMs: connection.request_timeout,
    callTimeoutMs: pool.call_timeout,
    maxConnectionAgeMs: pool.max_connection_age,
    maxResponseBytes: pool.max_response_size,
    retry: {
      scheduleMs: retry.schedule,
      jitter: retry.jitter,
      maxAgeMs: retry.max_age,
      accept: retry.accept,
      defer: retry.defer,
      refuse: retry.refuse,
    },
    firstAttemptShare: retry.first_attempt_share,
    pauseOnGone: retry.pause_on_gone,
    rateLimit: pool.rate_limit && rateLimitOf(pool.rate_limit),
    circuitBreaker: pool.circuit_breaker.enabled ? circuitBreakerOf(pool.circuit_breaker, path, reader) : undefined,
    maxBacklog: pool.max_backlog,
    overflow: pool.overflow,
    tls: await readTls(connection.tls, [...connectionPath, 'tls'], reader),
    headers: poolHeadersOf(pool, path, reader),
    oauth: readOAuth(pool.auth?.oauth2, [...path, 'auth', 'oauth2'], reader),
    sign: pool.sign?.keys,
  };
}

function circuitBreakerOf(section: PoolSection['circuit_breaker'], path: Path, reader: SectionReader): CircuitBreakerConfig {
  const { open, max_open: maxOpen = Math.max(open, 5 * minute) } = section;
  if (maxOpen < open) reader.mistake([...path, 'circuit_breaker', 'max_open'], { expected: `at least circuit_breaker.open (${open} ms)` });
  return {
    failureRatio: section.failure_ratio,
    minAttempts: section.min_attempts,
    windowMs: section.window,
    openMs: open,
    maxOpenMs: maxOpen,
  };
}

/** Scheme, host and port of `connection.host`; empty if it has a mistake. */
function readOrigin(host: string, path: Path, reader: SectionReader): string {
  const expected = 'http://host[:port] or https://host[:port]';
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || !/^https?:\/\//i.test(host)) {
    const withScheme = /^[\w.-]+(:\d+)?$/.test(host) ? `did you mean "http://${host}"?` : undefined;
    reader.mistake(path, { expected, hint: withScheme });
    return '';
  }
  if (url.username !== '' || url.password !== '') {
    reader.mistake(path, { received: 'a URL with credentials', expected: `${expected}, without credentials` });
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    reader.mistake(path, { expected, hint: 'a path belongs in path_prefix' });
  }
  return url.origin;
}

function checkPrefix(prefix: string, path: Path, reader: SectionReader): void {
  if (!/^[\x21-\x7e]*$/.test(prefix) || /[?#]/.test(prefix)) {
    reader.mistake(path, { expected: 'a URL path without a query; characters outside ASCII must be percent-encoded' });
  }
}

function checkLimits(pool: PoolSection, path: Path, reader: SectionReader): void {
  if ((pool.threads ?? 1) > pool.workers) {
    reader.mistake([...path, 'threads'], { expected: `at most as many threads as workers (${pool.workers})` });
  }
}

function checkStatusCodes(retry: PoolSection['retry'], path: Path, reader: SectionReader): void {
  const seen = new Map<number, string>();
  for (const key of ['accept', 'defer', 'refuse'] as const) {
    for (const [index, status] of retry[key].entries()) {
      const before = seen.get(status);
      if (before !== undefined)
        reader.mistake([...path, key, index], { expected: `each status code once; ${status} is also in ${before}` });
      seen.set(status, key);
    }
  }
}

/** Reports keys that differ from MongooseIM, keys without effect, and keys that affect other pools. */
function noticePoolDifferences({ pool, isCallTimeoutGiven, path }: PoolDifferences, reader: SectionReader): void {
  const notice: Notice = (key, text) => reader.notice([...path, ...key.split('.')], text);
  const { connection, retry } = pool;

  noticeStrategy(pool.strategy, notice);
  if (pool.max_worker_queue_len !== undefined) notice('max_worker_queue_len', 'has no effect: deliveries wait on disk, not in a worker');
  noticeCallTimeout(pool, { isGiven: isCallTimeoutGiven, notice });
  if (connection.tls !== undefined && /^http:/i.test(connection.host)) notice('connection.tls', 'has no effect: the host is http');
  if (retry.schedule.reduce((sum, pauseMs) => sum + pauseMs, 0) > retry.max_age) {
    notice('retry.schedule', 'takes longer than retry.max_age, so a delivery is dead before its last retry');
  }
  if (pool.overflow === 'hold-intake') {
    notice(
      'overflow',
      `"hold-intake" stops the intake of every pool, not only of this one, while ${pool.max_backlog} deliveries wait here`,
    );
  }
}

interface PoolDifferences {
  readonly pool: PoolSection;
  /** Whether `call_timeout` is in the file: the difference from MongooseIM is reported only then. */
  readonly isCallTimeoutGiven: boolean;
  readonly path: Path;
}

type Notice = (key: string, text: string) => void;

function noticeStrategy(strategy: PoolSection['strategy'], notice: Notice): void {
  if (strategy === undefined || strategy === 'available_worker') return;
  const atOnce = strategy === 'next_available_worker' ? ', and a request never fails because all workers are busy' : '';
  notice('strategy', `"${strategy}" works as "available_worker": all workers share one durable queue${atOnce}`);
}

function noticeCallTimeout(
  { call_timeout: callTimeout, connection }: PoolSection,
  { isGiven, notice }: { readonly isGiven: boolean; readonly notice: Notice },
): void {
  if (connection.request_timeout > callTimeout) {
    const requestTimeout = `connection.request_timeout (${connection.request_timeout} ms)`;
    notice('call_timeout', `ends an attempt after ${callTimeout} ms, before ${requestTimeout} can`);
  }
  if (isGiven) {
    notice('call_timeout', 'starts when a worker takes the request; the wait before is on disk, is not counted, and drops nothing');
  }
}

/** Joins the prefix of a pool and a path with exactly one slash; an empty path adds nothing. The result starts with `/`. */
export function joinPath(prefix: string, path: string): string {
  const start = `/${prefix.replace(/^\/+/, '')}`;
  return path === '' ? start : `${start.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`;
}

/** The URL of a handler's default request, or of its questions. */
export function effectiveUrl(pool: Pick<PoolConfig, 'origin'>, handler: Pick<HandlerConfig, 'requestPath'>): string {
  return `${pool.origin}${handler.requestPath}`;
}
