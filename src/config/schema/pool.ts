import { z } from 'zod';
import { rateLimit } from './rate-limit.ts';
import { anyText, duration, durationOrForever, flag, listOf, oneOf, part, section, size, text, wait, whole } from './values.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const statusCodes = z.array(whole(100, 599), { error: 'a list of status codes' });

/** When a failed delivery is tried again, and which answers count otherwise than usual. */
const retry = section({
  schedule: z
    .array(duration, { error: 'a list of durations, one per retry' })
    .default([1000, 5000, 30_000, 2 * minute, 10 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour]),
  jitter: part.default(0.2),
  max_age: duration.default(3 * day),
  accept: statusCodes.default([]),
  defer: statusCodes.default([]),
  refuse: statusCodes.default([]),
  first_attempt_share: part.default(0.5),
  pause_on_gone: flag.default(false),
});

const ratio = 'a number above 0, at most 1';

/** `max_open` is five minutes, or `open` where that is longer. */
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

/** MongooseIM's TLS client options. */
export const tls = section({
  verify_mode: oneOf(['peer', 'selfsigned_peer', 'none']).default('peer'),
  cacertfile: text.optional(),
  certfile: text.optional(),
  keyfile: text.optional(),
  password: text.optional(),
  ciphers: text.optional(),
  versions: listOf(oneOf(['tlsv1', 'tlsv1.1', 'tlsv1.2', 'tlsv1.3']), 'a list of TLS versions').optional(),
  server_name_indication: section({
    enabled: flag.default(true),
    host: text.optional(),
    protocol: oneOf(['default', 'https']).optional(),
  }).prefault({}),
  disconnect_on_failure: flag.default(true),
  crl_files: z.array(text, { error: 'a list of file names' }).default([]),
});

const connection = section(
  {
    host: z.string({ error: 'http://host[:port] or https://host[:port]' }),
    path_prefix: anyText.default('/'),
    request_timeout: wait.default(2000),
    tls: tls.optional(),
  },
  'a table with host, which is http://host[:port] or https://host[:port]',
);

/** `[outgoing_pools.http.TAG]`: MongooseIM's options, then ours. */
export const poolSchema = section({
  scope: oneOf(['global', 'host', 'host_type']).default('global'),
  workers: whole(1).default(10),
  strategy: oneOf(['best_worker', 'random_worker', 'next_worker', 'available_worker', 'next_available_worker']).optional(),
  call_timeout: wait.default(5000),
  max_worker_queue_len: whole(0).optional(),
  connection,
  client: oneOf(['got', 'undici']).default('undici'),
  threads: whole(1).default(1),
  max_connection_age: durationOrForever.default(5 * minute),
  max_response_size: size.default(1024 * 1024),
  retry: retry.prefault({}),
  rate_limit: rateLimit.optional(),
  circuit_breaker: circuitBreaker.prefault({}),
  max_backlog: whole(1).default(1_000_000),
  overflow: oneOf(['dead-letter-oldest', 'refuse', 'hold-intake']).default('dead-letter-oldest'),
});

export type PoolSection = z.output<typeof poolSchema>;
export type TlsSection = z.output<typeof tls>;
