import { z } from 'zod';
import { readHistory } from './history.ts';
import { listenerTls, readListenerTls } from './listener-tls.ts';
import type { Table } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';
import type { Attachment, Config, GateConfig, ListenConfig, LogLevel } from './service-config.ts';
import { readSpool } from './spool.ts';
import { anything, domains, flag, isLoopback, listen, listOf, oneOf, secret, section, size, wait, whole } from './values.ts';

type ServiceSections = Pick<Config, 'admin' | 'callbacks' | 'drainTimeoutMs' | 'gate' | 'history' | 'log' | 'metrics' | 'spool'>;

/** Reads the sections of the service itself; undefined if one of them has mistakes, all of which are reported. */
export async function readService(file: Table, reader: SectionReader): Promise<ServiceSections | undefined> {
  const callbacks = reader.read(callbacksSchema, file['callbacks'] ?? {}, ['callbacks']);
  const spool = readSpool(file['spool'] ?? {}, reader);
  const history = readHistory(file['history'] ?? {}, spool, reader);
  const admin = await readAdmin(file['admin'] ?? {}, reader);
  const gate = await readGate(file['gate'], reader);
  const metrics = reader.read(metricsSchema, file['metrics'] ?? {}, ['metrics']);
  const log = reader.read(logSchema, file['log'] ?? {}, ['log']);
  const service = reader.read(serviceSchema, file['service'] ?? {}, ['service']);

  if (!callbacks || !spool || !history || !admin || !metrics || !log || !service) return undefined;
  return {
    callbacks: { timeoutMs: callbacks.timeout, blockTimeoutMs: callbacks.block_timeout },
    spool,
    history,
    admin,
    gate,
    log,
    metrics: { mongooseim: metrics.mongooseim, token: metrics.token },
    drainTimeoutMs: service.drain_timeout,
  };
}

/** Reads `[admin]`. A listener that other machines can reach needs a token. */
export async function readAdmin(value: unknown, reader: SectionReader): Promise<ListenConfig | undefined> {
  const admin = reader.read(adminSchema, value, ['admin']);
  if (admin === undefined) return undefined;

  const { host, port } = admin.listen;
  const names = admin.tokens.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) < index)
      reader.mistake(['admin', 'tokens', index, 'name'], { received: name, expected: 'a name that no other token has' });
  }
  if (!isLoopback(host) && admin.token === undefined && names.length === 0) {
    reader.mistake(['admin', 'token'], {
      expected: `a token, here or in admin.tokens, since admin.listen (${host}) is reachable from other machines`,
    });
  }
  const tls = await readListenerTls(admin.tls, ['admin', 'tls'], reader);
  return { host, port, tls, token: admin.token, tokens: admin.tokens, maxConnections: admin.max_connections };
}

/** Reads `[gate]`. Its answers reveal what is refused, so a listener that other machines can reach needs a token. */
async function readGate(value: unknown, reader: SectionReader): Promise<GateConfig | undefined> {
  const gate = value === undefined ? undefined : reader.read(gateSchema, value, ['gate']);
  if (gate === undefined) return undefined;

  const { listen, token } = gate;
  if (!isLoopback(listen.host) && token === undefined) {
    reader.mistake(['gate', 'token'], { expected: `a token, since gate.listen (${listen.host}) is reachable from other machines` });
  }
  const tls = await readListenerTls(gate.tls, ['gate', 'tls'], reader);
  return { listen, token, tls, timeoutMs: gate.timeout, maxBodyBytes: gate.max_body_bytes, maxConnections: gate.max_connections };
}

/** Our levels, and each level of MongooseIM with the nearest of ours. */
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

/** `[general]` without the keys of MongooseIM. */
export const generalSchema = section({
  hosts: domains.default([]),
  loglevel: logLevel.default('info'),
});

/** `[callbacks]` */
export const callbacksSchema = section({
  timeout: wait.default(5000),
  block_timeout: wait.default(10_000),
});

const hashExpected = 'the SHA-256 of the token in 64 hexadecimal digits';

const tokenName = 'a name of letters, digits and any of ".@_-", at most 64 characters';

/** `[[admin.tokens]]` */
export const accessToken = section({
  name: z.string({ error: tokenName }).regex(/^[\w.@-]{1,64}$/, { error: tokenName }),
  role: oneOf(['read', 'operate']).default('read'),
  content: flag.default(false),
  hash: z
    .string({ error: hashExpected })
    .regex(/^[\da-f]{64}$/i, { error: hashExpected })
    .transform((hash) => hash.toLowerCase()),
});

/** `[admin]` */
export const adminSchema = section({
  listen: listen.default({ host: '127.0.0.1', port: 9464 }),
  token: secret.optional(),
  tokens: listOf(accessToken, 'a list of tables').default([]),
  tls: listenerTls.optional(),
  max_connections: whole(1).default(100),
});

/** `[gate]` */
export const gateSchema = section({
  listen: listen.default({ host: '127.0.0.1', port: 9465 }),
  token: secret.optional(),
  tls: listenerTls.optional(),
  timeout: wait.default(1000),
  max_body_bytes: size.pipe(whole(1)).default(1024 * 1024),
  max_connections: whole(1).default(10_000),
});

/** `[metrics]` */
export const metricsSchema = section({
  mongooseim: flag.default(false),
  token: secret.optional(),
});

/** `[log]` */
export const logSchema = section({
  jids: flag.default(false),
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
  egress: anything,
  modules: anything,
  host_config: anything,
  callbacks: anything,
  spool: anything,
  history: anything,
  admin: anything,
  gate: anything,
  log: anything,
  metrics: anything,
  service: anything,
});

interface Limited {
  readonly config: Config;
  /** Set if a listener accepts fewer connections than its `max_connections`. */
  readonly notice: string | undefined;
}

/**
 * Divides half of the open-file limit equally among the listeners; pools, chat servers and the spool need the rest.
 * `openFiles` is the limit of the process, undefined if unknown.
 */
export function limitConnections(config: Config, openFiles: number | undefined): Limited {
  const { admin, gate, attachments } = config;
  const listeners = 1 + (gate === undefined ? 0 : 1) + attachments.reduce((sum, attachment) => sum + listenersOf(attachment), 0);
  const share = Math.max(1, Math.floor((openFiles ?? Number.POSITIVE_INFINITY) / 2 / listeners));
  const limited = <T extends { readonly maxConnections: number }>(one: T): T => ({
    ...one,
    maxConnections: Math.min(one.maxConnections, share),
  });
  const isCut = [admin, ...(gate === undefined ? [] : [gate]), ...attachments].some(
    (one) => 'maxConnections' in one && one.maxConnections > share,
  );

  return {
    config: {
      ...config,
      admin: limited(admin),
      gate: gate && limited(gate),
      attachments: attachments.map((attachment) => ('maxConnections' in attachment ? limited(attachment) : attachment)),
    },
    notice: isCut
      ? `this process may have ${openFiles} open files, so each of its ${listeners} listeners accepts at most ${share} connections; ` +
        'raise the limit (ulimit -n, LimitNOFILE) to reach max_connections'
      : undefined,
  };
}

function listenersOf(attachment: Attachment): number {
  switch (attachment.type) {
    case 'client':
    case 'component':
      return 0;
    case 'exits':
      return attachment.listeners.length;
    case 'http':
      return 1;
    default:
      return attachment satisfies never;
  }
}
