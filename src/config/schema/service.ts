import { z } from 'zod';
import type { LogLevel } from '../config.ts';
import { anything, domains, duration, flag, listen, oneOf, secret, section, size, text, wait, whole } from './values.ts';

/** Our levels, and MongooseIM's as the nearest of ours. */
const levels = {
  all: 'debug',
  alert: 'fatal',
  critical: 'fatal',
  debug: 'debug',
  emergency: 'fatal',
  error: 'error',
  fatal: 'fatal',
  info: 'info',
  none: 'silent',
  notice: 'info',
  silent: 'silent',
  warn: 'warn',
  warning: 'warn',
} as const satisfies Record<string, LogLevel>;

const logLevel = z
  .enum(Object.keys(levels) as (keyof typeof levels)[], { error: `one of ${Object.keys(levels).join(', ')}` })
  .transform((level): LogLevel => levels[level]);

/** `[general]`, as far as it is ours. */
export const generalSchema = section({
  hosts: domains.default([]),
  loglevel: logLevel.default('info'),
});

/** `[callbacks]` */
export const callbacksSchema = section({
  timeout: wait.default(5000),
  block_timeout: wait.default(10_000),
});

/** `[spool]` */
export const spoolSchema = section({
  engine: oneOf(['sqlite', 'memory']).default('sqlite'),
  path: text.default('var/spool.sqlite'),
  max_bytes: size.default(10 * 1000 ** 3),
  min_free: size.default(64 * 1000 ** 2),
  dead_letter_max_age: duration.default(30 * 86_400_000),
  dead_letter_max: whole(1).optional(),
});

/** `[admin]` */
export const adminSchema = section({
  listen: listen.default({ host: '127.0.0.1', port: 9464 }),
  token: secret.optional(),
  max_connections: whole(1).default(100),
});

/** `[gate]` */
export const gateSchema = section({
  listen: listen.default({ host: '127.0.0.1', port: 9465 }),
  token: secret.optional(),
  timeout: wait.default(1000),
  max_body_bytes: size.pipe(whole(1)).default(1024 * 1024),
  max_connections: whole(1).default(10_000),
});

/** `[metrics]` */
export const metricsSchema = section({
  mongooseim: flag.default(false),
  token: secret.optional(),
});

/** `[service]` */
export const serviceSchema = section({
  drain_timeout: wait.default(25_000),
});

/** The file's outermost level; each section is read by its own schema. */
export const rootSchema = section({
  general: anything,
  attach: anything,
  outgoing_pools: anything,
  modules: anything,
  host_config: anything,
  callbacks: anything,
  spool: anything,
  admin: anything,
  gate: anything,
  metrics: anything,
  service: anything,
});
