import { z } from 'zod';
import { duration, flag, listOf, oneOf, section, size, text, wait, whole } from './values.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const statusCodes = z.array(whole(100, 599), { error: 'a list of status codes' });

/** When a failed delivery is tried again, and which answers count otherwise than usual. */
const retry = section({
  schedule: z
    .array(duration, { error: 'a list of durations, one per retry' })
    .default([1000, 5000, 30_000, 2 * minute, 10 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour]),
  jitter: z
    .number({ error: 'a number from 0 to 1' })
    .min(0, { error: 'a number from 0 to 1' })
    .max(1, { error: 'a number from 0 to 1' })
    .default(0.2),
  max_age: duration.default(3 * day),
  accept: statusCodes.default([]),
  defer: statusCodes.default([]),
  refuse: statusCodes.default([]),
});

/** MongooseIM's TLS client options. */
const tls = section({
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
    path_prefix: text.default('/'),
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
  max_response_size: size.default(1024 * 1024),
  retry: retry.prefault({}),
});

export type PoolSection = z.output<typeof poolSchema>;
export type TlsSection = z.output<typeof tls>;
