import type { ComponentAttachment, HandlerConfig, PoolConfig } from '../config/config.ts';
import { type EgressConfig, shownProxy } from '../config/egress.ts';
import { isBuiltIn } from '../config/follow-up.ts';
import { createMask, withoutSecrets } from '../config/secrets.ts';
import type {
  Attachment,
  ClientAttachment,
  Config,
  Credential,
  Descriptor,
  ExitsAttachment,
  GateConfig,
  HttpAttachment,
  ListenConfig,
} from '../config/service-config.ts';
import { durationText, hostText, sizeText, type TomlSection, tomlKey } from './toml-text.ts';

/** The effective configuration as TOML tables, including defaults, without secrets. */
export function effectiveSections(config: Config): readonly TomlSection[] {
  const mask = createMask(config.redacted);
  const sections: readonly TomlSection[] = [
    { title: '[general]', entries: { hosts: config.hosts, loglevel: config.logLevel } },
    ...config.attachments.flatMap(attachmentSections),
    egressSection(config),
    ...config.pools.filter(({ id }) => !isBuiltIn(id)).map((pool) => poolSection(pool, config.egress)),
    ...config.handlers.map((handler) => handlerSection(handler, mask)),
    ...serviceSections(config),
  ];
  return sections.map((section) => ({ ...section, entries: withoutSecrets(section.entries, mask) }));
}

function attachmentSections(attachment: Attachment): readonly TomlSection[] {
  const title = `[attach.${tomlKey(attachment.name)}]`;
  switch (attachment.type) {
    case 'client':
      return [{ title, entries: clientEntries(attachment) }];
    case 'component':
      return [{ title, entries: componentEntries(attachment) }];
    case 'exits':
      return exitsSections(attachment);
    case 'http':
      return [{ title, entries: httpEntries(attachment) }];
    default:
      return attachment satisfies never;
  }
}

function clientEntries(attachment: ClientAttachment): TomlSection['entries'] {
  const { service, encryption, jid } = attachment;
  return {
    type: attachment.type,
    service: `${encryption === 'direct' ? 'xmpps' : 'xmpp'}://${hostText(service.host)}:${service.port}`,
    plaintext: encryption === 'plain',
    jid: `${jid.user}@${jid.domain}`,
    password: attachment.password,
    resource: attachment.resource,
    priority: attachment.priority,
    rooms: attachment.rooms.map((room) => `${room.jid}/${room.nick}`),
    carbons: attachment.carbons,
    archive: attachment.archive,
    hosts: attachment.hosts,
    max_stanza_bytes: sizeText(attachment.maxStanzaBytes),
    max_uncommitted_bytes: sizeText(attachment.maxUncommittedBytes),
    ping_interval: durationText(attachment.pingIntervalMs),
    ping_timeout: durationText(attachment.pingTimeoutMs),
    connect_timeout: durationText(attachment.connectTimeoutMs),
    reconnect_max: durationText(attachment.reconnectCapMs),
    ...(encryption === 'plain' ? {} : tlsEntries(attachment.tls, 'tls')),
  };
}

function componentEntries(attachment: ComponentAttachment): TomlSection['entries'] {
  const [first, ...others] = attachment.nodes.map(({ name }) => name);
  return {
    type: attachment.type,
    service: others.length === 0 ? first : [first ?? '', ...others],
    domain: attachment.domain,
    secret: attachment.secret,
    feed: attachment.feed,
    hosts: attachment.hosts,
    max_stanza_bytes: sizeText(attachment.maxStanzaBytes),
    max_uncommitted_bytes: sizeText(attachment.maxUncommittedBytes),
    ping_interval: durationText(attachment.pingIntervalMs),
    ping_timeout: durationText(attachment.pingTimeoutMs),
    connect_timeout: durationText(attachment.connectTimeoutMs),
    reconnect_max: durationText(attachment.reconnectCapMs),
  };
}

function httpEntries(attachment: HttpAttachment): TomlSection['entries'] {
  return {
    type: attachment.type,
    listen: listenText(attachment.listen),
    path: attachment.path,
    username: attachment.credentials?.username,
    password: attachment.credentials?.password,
    ...listenerTlsEntries(attachment.tls),
    hosts: attachment.hosts,
    max_body_bytes: sizeText(attachment.maxBodyBytes),
    max_uncommitted_bytes: sizeText(attachment.maxUncommittedBytes),
    max_connections: attachment.maxConnections,
    ...rateLimitEntries(attachment.rateLimit),
  };
}

function egressSection({ egress }: Config): TomlSection {
  return { title: '[egress]', entries: { proxy: shownProxy(egress.proxy), no_proxy: egress.direct, allow: egress.allow } };
}

function poolSection(pool: PoolConfig, { proxy }: EgressConfig): TomlSection {
  const { retry } = pool;
  return {
    title: `[outgoing_pools.http.${tomlKey(pool.id)}]`,
    entries: {
      client: pool.client,
      workers: pool.workers,
      threads: pool.threads,
      proxy: pool.egress.proxy === proxy ? undefined : (shownProxy(pool.egress.proxy) ?? false),
      call_timeout: durationText(pool.callTimeoutMs),
      max_connection_age: durationText(pool.maxConnectionAgeMs),
      max_response_size: sizeText(pool.maxResponseBytes),
      ...headerEntries(pool),
      ...oauthEntries(pool),
      ...signEntries(pool),
      'connection.host': pool.origin,
      'connection.path_prefix': pool.pathPrefix,
      'connection.request_timeout': durationText(pool.requestTimeoutMs),
      ...(pool.origin.startsWith('https:') ? tlsEntries(pool.tls, 'connection.tls') : {}),
      'retry.schedule': retry.scheduleMs.map(durationText),
      'retry.jitter': retry.jitter,
      'retry.max_age': durationText(retry.maxAgeMs),
      'retry.accept': retry.accept,
      'retry.defer': retry.defer,
      'retry.refuse': retry.refuse,
      'retry.first_attempt_share': pool.firstAttemptShare,
      'retry.pause_on_gone': pool.pauseOnGone,
      ...rateLimitEntries(pool.rateLimit),
      ...circuitBreakerEntries(pool.circuitBreaker),
      max_backlog: pool.maxBacklog,
      overflow: pool.overflow,
    },
  };
}

function rateLimitEntries(limit: PoolConfig['rateLimit']): TomlSection['entries'] {
  if (limit === undefined) return {};
  return {
    'rate_limit.requests': limit.requests,
    'rate_limit.per': durationText(limit.perMs),
    'rate_limit.burst': limit.burst,
  };
}

function circuitBreakerEntries(breaker: PoolConfig['circuitBreaker']): TomlSection['entries'] {
  if (breaker === undefined) return { circuit_breaker: false };
  return {
    'circuit_breaker.failure_ratio': breaker.failureRatio,
    'circuit_breaker.min_attempts': breaker.minAttempts,
    'circuit_breaker.window': durationText(breaker.windowMs),
    'circuit_breaker.open': durationText(breaker.openMs),
    'circuit_breaker.max_open': durationText(breaker.maxOpenMs),
  };
}

/** Files appear only as `[read]`. */
function tlsEntries(tls: PoolConfig['tls'], at: string): TomlSection['entries'] {
  return {
    [`${at}.verify_mode`]: tls.verify ? 'peer' : 'none',
    [`${at}.cacertfile`]: tls.ca && '[read]',
    [`${at}.certfile`]: tls.cert && '[read]',
    [`${at}.keyfile`]: tls.key && '[read]',
    [`${at}.password`]: tls.passphrase && '[redacted]',
    [`${at}.ciphers`]: tls.ciphers,
    [`${at}.versions`]: versionsOf(tls),
    [`${at}.server_name_indication.host`]: tls.serverName,
  };
}

function listenerTlsEntries(tls: ListenConfig['tls']): TomlSection['entries'] {
  if (tls === undefined) return {};
  const { passphrase, ca } = tls.pem;
  return {
    'tls.certfile': '[read]',
    'tls.keyfile': '[read]',
    'tls.password': passphrase && '[redacted]',
    'tls.cacertfile': ca && '[read]',
  };
}

function versionsOf({ minVersion, maxVersion }: PoolConfig['tls']): readonly string[] | undefined {
  if (minVersion === undefined && maxVersion === undefined) return undefined;
  return [...new Set([minVersion ?? 'TLSv1.2', maxVersion ?? 'TLSv1.3'])].map((version) => version.toLowerCase());
}

function handlerSection(handler: HandlerConfig, mask: (text: string) => string): TomlSection {
  return {
    title: '[[modules.mod_event_pusher.http.handlers]]',
    comment: `evaluates the packets of ${handler.hosts.length === 0 ? 'no host' : handler.hosts.map(mask).join(', ')}`,
    entries: {
      name: handler.name,
      pool_name: handler.pool,
      path: handler.path,
      callback_module: handler.callbackModule,
      when: handler.when,
      respect_hints: handler.respectHints,
      ordering: handler.ordering,
      hold: durationText(handler.holdMs),
      ttl: handler.ttlMs === undefined ? undefined : durationText(handler.ttlMs),
      ...beforePushEntries(handler),
      ...followUpEntries(handler),
      ...signEntries(handler),
      options: handler.options,
    },
  };
}

function headerEntries({ headers }: PoolConfig): TomlSection['entries'] {
  const source = headers.find(({ from }) => from !== 'headers')?.from;
  const own = headers.filter(({ from }) => from === 'headers').map(({ name, value }) => [name, value]);
  const keys = source === 'auth.basic' ? ['auth.basic.username', 'auth.basic.password'] : [source ?? []].flat();
  return {
    ...(own.length === 0 ? {} : { headers: Object.fromEntries(own) }),
    ...Object.fromEntries(keys.map((key) => [key, '[redacted]'])),
  };
}

function oauthEntries({ oauth }: PoolConfig): TomlSection['entries'] {
  if (oauth === undefined) return {};
  return {
    'auth.oauth2.token_url': oauth.tokenUrl,
    'auth.oauth2.client_id': oauth.clientId,
    'auth.oauth2.client_secret': oauth.clientSecret,
    'auth.oauth2.auth_method': oauth.authMethod,
    'auth.oauth2.scope': oauth.scope,
    'auth.oauth2.audience': oauth.audience,
  };
}

function signEntries({ sign }: Pick<PoolConfig, 'sign'>): TomlSection['entries'] {
  return sign === undefined ? {} : { 'sign.scheme': 'standard-webhooks', 'sign.keys': sign };
}

function beforePushEntries({ beforePush }: HandlerConfig): TomlSection['entries'] {
  if (beforePush === undefined) return {};
  return {
    'before_push.pool_name': beforePush.pool,
    'before_push.path': beforePush.path,
    'before_push.form': beforePush.form,
    'before_push.timeout': durationText(beforePush.timeoutMs),
    'before_push.on_failure': beforePush.onFailure,
  };
}

function followUpEntries({ followUp }: HandlerConfig): TomlSection['entries'] {
  if (followUp === undefined) return {};
  return {
    'follow_up.allow': followUp.allow,
    'follow_up.max_depth': followUp.maxDepth,
    'follow_up.reply_from': followUp.replyFrom,
    'follow_up.default_host': followUp.defaultHost,
  };
}

function serviceSections({ callbacks, spool, history, admin, gate, log, metrics, drainTimeoutMs }: Config): readonly TomlSection[] {
  return [
    {
      title: '[callbacks]',
      entries: { timeout: durationText(callbacks.timeoutMs), block_timeout: durationText(callbacks.blockTimeoutMs) },
    },
    {
      title: '[spool]',
      entries: {
        engine: spool.engine,
        ...(spool.postgres === undefined ? { path: spool.path } : { url: '[redacted]', schema: spool.postgres.schema }),
        max_bytes: sizeText(spool.maxBytes),
        min_free: sizeText(spool.minFreeBytes),
        dead_letter_max_age: durationText(spool.deadLetterMaxAgeMs),
        dead_letter_max: spool.deadLetterMax,
      },
    },
    historySection(history),
    {
      title: '[admin]',
      entries: { listen: listenText(admin), token: admin.token, ...listenerTlsEntries(admin.tls), max_connections: admin.maxConnections },
    },
    ...(admin.tokens ?? []).map((token) => ({ title: '[[admin.tokens]]', entries: { ...token } })),
    ...(gate === undefined ? [] : [gateSection(gate)]),
    { title: '[log]', entries: { jids: log.jids } },
    { title: '[metrics]', entries: { mongooseim: metrics.mongooseim, token: metrics.token } },
    { title: '[service]', entries: { drain_timeout: durationText(drainTimeoutMs) } },
  ];
}

function historySection({ enabled, maxAgeMs, maxBytes, bodies }: Config['history']): TomlSection {
  return { title: '[history]', entries: { enabled, max_age: durationText(maxAgeMs), max_bytes: sizeText(maxBytes), bodies } };
}

function gateSection({ listen, token, tls, timeoutMs, maxBodyBytes, maxConnections }: GateConfig): TomlSection {
  const sizes = { max_body_bytes: sizeText(maxBodyBytes), max_connections: maxConnections };
  return {
    title: '[gate]',
    entries: { listen: listenText(listen), token, ...listenerTlsEntries(tls), timeout: durationText(timeoutMs), ...sizes },
  };
}

function listenText({ host, port }: Pick<ListenConfig, 'host' | 'port'>): string {
  return `${hostText(host)}:${port}`;
}

/** An attachment with descriptors. */
function exitsSections(attachment: ExitsAttachment): readonly TomlSection[] {
  const { rateLimit } = attachment;
  const title = `attach.${tomlKey(attachment.name)}`;
  const main: TomlSection = {
    title: `[${title}]`,
    entries: {
      type: 'http',
      listen: Object.fromEntries(attachment.listeners.map(({ name, host, port }) => [name, `${hostText(host)}:${port}`])),
      origins: attachment.origins,
      ...listenerTlsEntries(attachment.tls),
      hosts: attachment.hosts,
      send_through: attachment.sendThrough,
      max_body_bytes: sizeText(attachment.maxBodyBytes),
      max_headers: attachment.maxHeaders,
      request_timeout: durationText(attachment.requestTimeoutMs),
      max_uncommitted_bytes: sizeText(attachment.maxUncommittedBytes),
      max_connections: attachment.maxConnections,
      rate_limit: rateLimit && { requests: rateLimit.requests, per: durationText(rateLimit.perMs), burst: rateLimit.burst },
    },
  };
  const users: TomlSection = { title: `[${title}.users]`, entries: Object.fromEntries(attachment.users.map(userEntry)) };
  const tacs: TomlSection = { title: `[${title}.tacs]`, entries: Object.fromEntries(attachment.descriptors.flatMap(tacEntries)) };
  const tables = [tacs, users].filter(({ entries }) => Object.keys(entries).length > 0);
  return [main, ...tables, ...attachment.descriptors.map((descriptor) => descriptorSection(`[[${title}.descriptors]]`, descriptor))];
}

/** A built-in unit under its own name needs no TAC. */
function tacEntries({ tac, unit }: Descriptor): readonly (readonly [string, string])[] {
  return tac === unit.name ? [] : [[tac, unit.name]];
}

function userEntry({ user }: Credential): readonly [string, string] {
  return [user, '[redacted]'];
}

function descriptorSection(title: string, { name, path, tac, exit, convertText, userAuth, listener }: Descriptor): TomlSection {
  const entries = {
    name,
    path,
    tac,
    http_exit: exit.kind === 'module' ? exit.name : `*${exit.kind.toUpperCase()}`,
    convert_text: convertText,
    user_auth: `*${userAuth.toUpperCase()}`,
    bcamappl: listener ?? '*ALL',
  };
  return { title, entries };
}
