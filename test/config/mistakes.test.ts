import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigInvalid } from '../../src/config/mistakes.ts';
import { attachment, listener, mistakeLines, pool, writeConfig } from './write-config.ts';

const http = 'http://host[:port] or https://host[:port]';
const handler = '[modules.mod_event_pusher.backend.http]\n';
const at = 'modules.mod_event_pusher.backend.http';
const p = 'outgoing_pools.http.http_pool';
const durations = 'a duration: milliseconds, or a string such as "500ms", "2s", "5m", "1h", "30d"';

const clientService = 'xmpp://host[:port] of the server’s listener for clients, or xmpps://host[:port] for direct TLS';
const account = '[attach.bot]\ntype = "client"\nservice = "xmpp://chat.example"\njid = "bot@chat.example"\npassword = "hunter2"\n';

/** A pool with one more line. */
const poolWith = (line: string): string => `[${p}]\n${line}\n${pool}`;
const host = (value: string): string => `[${p}.connection]\nhost = "${value}"`;

const allowed = 'a host, "*.suffix", an address or a CIDR, with or without ":port", such as "10.0.0.172:5984" or "[fd00::/8]:443"';
/** A handler with `follow_up` that contains one line. */
const followUp = (line: string): string => `${pool}${handler}[modules.mod_event_pusher.backend.http.follow_up]\n${line}`;

test.each<[text: string, line: string]>([
  // follow_up
  [followUp('allow = ["https://a.example"]'), `${at}.follow_up.allow[0]: received "https://a.example", expected ${allowed}`],
  [followUp('allow = "2130706433"'), `${at}.follow_up.allow: received "2130706433", expected ${allowed}`],
  [followUp('allow = []'), `${at}.follow_up.allow: received an empty list, expected a list of hosts, with at least one`],
  [followUp('max_depth = 0'), `${at}.follow_up.max_depth: received 0, expected a whole number from 1 to 100`],
  [
    followUp('reply_from = "bot@localhost/phone"'),
    `${at}.follow_up.reply_from: received "bot@localhost/phone", expected a bare JID, such as "bot@chat.example" or "pusher.chat.example"`,
  ],
  [followUp('default_host = "a@b"'), `${at}.follow_up.default_host: received "a@b", expected a domain name`],
  [
    followUp('alow = "a.example"'),
    `${at}.follow_up.alow: received an unknown key, expected one of enabled, allow, max_depth, reply_from, default_host (did you mean "allow"?)`,
  ],
  [
    `[outgoing_pools.http.follow_up]\n[outgoing_pools.http.follow_up.connection]\nhost = "http://a.example"`,
    'outgoing_pools.http.follow_up: received this name, expected another name: follow_up and follow_up_messages are built in',
  ],
  [
    `[outgoing_pools.http.follow_up_messages]\n[outgoing_pools.http.follow_up_messages.connection]\nhost = "http://a.example"`,
    'outgoing_pools.http.follow_up_messages: received this name, expected another name: follow_up and follow_up_messages are built in',
  ],
  // sections and keys
  [
    '[spol]',
    'spol: received an unknown key, expected one of general, attach, outgoing_pools, egress, modules, host_config, callbacks, spool, history, admin, gate, log, metrics, service (did you mean "spool"?)',
  ],
  ['general = 1', 'general: received 1, expected a table'],
  ['[general]\nhost = ["a"]', 'general.host: received an unknown key, expected one of hosts, loglevel (did you mean "hosts"?)'],
  ['[general]\nhosts = "a"', 'general.hosts: received "a", expected a list of domain names'],
  ['[general]\nhosts = ["a", "b@c"]', 'general.hosts[1]: received "b@c", expected a domain name'],
  [
    '[general]\nloglevel = "wanring"',
    'general.loglevel: received "wanring", expected one of all, alert, critical, debug, emergency, error, fatal, info, none, notice, silent, warn, warning (did you mean "warning"?)',
  ],
  ['[callbacks]\ntimeout = "5 seconds"', `callbacks.timeout: received "5 seconds", expected ${durations}`],
  ['[callbacks]\ntimeout = 0', 'callbacks.timeout: received 0, expected a duration of 1 ms or more'],
  ['[callbacks]\nblock_timeout = "25d"', 'callbacks.block_timeout: received "25d", expected a duration of at most 24 days'],
  ['[spool]\nengine = "jetstream"', 'spool.engine: received "jetstream", expected one of sqlite, memory, postgres'],
  [
    '[spool]\nengine = "postgres"',
    'spool.url: received nothing, expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, since engine = "postgres"',
  ],
  ['[spool]\nurl = "postgres://db.example.org/spool"', 'spool.url: received a string, expected no url, unless engine = "postgres"'],
  [
    '[spool]\nengine = "postgres"\nurl = "mysql://me:hidden@db.example.org/spool"',
    'spool.url: received a string, expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, since engine = "postgres"',
  ],
  [
    '[spool]\nengine = "postgres"\nurl = "postgres://me:/hidden@db.example.org/spool"',
    'spool.url: received a string, expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, since engine = "postgres" (in USER and PASSWORD, write / as %2F, # as %23, ? as %3F and @ as %40)',
  ],
  [
    '[spool]\nengine = "postgres"\nurl = "postgres://db.example.org/spool"\nschema = "My; DROP"',
    'spool.schema: received "My; DROP", expected a name of lower-case letters, digits and underscores, at most 63, without a digit at its start',
  ],
  [
    '[spool]\nmax_bytes = "10 elephants"',
    'spool.max_bytes: received "10 elephants", expected a size: bytes, or a string such as "512KiB", "10MB", "1GB"',
  ],
  ['[spool]\ndead_letter_max = 0', 'spool.dead_letter_max: received 0, expected a whole number of at least 1'],
  ['[metrics]\nmongooseim = "yes"', 'metrics.mongooseim: received "yes", expected true or false'],
  ['[admin]\nlisten = "9464"', 'admin.listen: received "9464", expected address:port, such as "127.0.0.1:9464" or "[::1]:9464"'],
  [
    '[admin]\nlisten = "0.0.0.0:9464"',
    'admin.token: received nothing, expected a token, here or in admin.tokens, since admin.listen (0.0.0.0) is reachable from other machines',
  ],
  [
    '[gate]\nlisten = "0.0.0.0:9465"',
    'gate.token: received nothing, expected a token, since gate.listen (0.0.0.0) is reachable from other machines',
  ],
  [
    '[gate]\ntimout = 5',
    'gate.timout: received an unknown key, expected one of listen, token, tls, timeout, max_body_bytes, max_connections (did you mean "timeout"?)',
  ],
  ['[gate]\nmax_body_bytes = 0', 'gate.max_body_bytes: received 0, expected a whole number of at least 1'],
  ['[admin]\ntoken = 12345', 'admin.token: received a number, expected a string that is not empty'],
  // modules
  [
    '[modules.mod_event_pushr]',
    'modules.mod_event_pushr: received an unknown key, expected one of mod_event_pusher, mod_event_pusher_http (did you mean "mod_event_pusher"?)',
  ],
  [
    '[modules.mod_event_pusher.htpp]',
    'modules.mod_event_pusher.htpp: received an unknown key, expected one of backend, http (did you mean "http"?)',
  ],
  [
    '[modules.mod_event_pusher.http]\nhandler = []',
    'modules.mod_event_pusher.http.handler: received an unknown key, expected one of handlers (did you mean "handlers"?)',
  ],
  ['[modules.mod_event_pusher.backend]\nhttp = "x"', `${at}: received "x", expected the table of a handler, or a list of such tables`],
  ['[modules.mod_event_pusher.backend]\nhttp = ["x"]', `${at}[0]: received "x", expected the table of a handler`],
  // handlers
  [
    `${pool}${handler}paht = "/x"`,
    `${at}.paht: received an unknown key, expected one of pool_name, path, callback_module, name, enabled, when, respect_hints, ordering, hold, ttl, before_push, follow_up, sign, options (did you mean "path"?)`,
  ],
  [`${pool}${handler}path = 5`, `${at}.path: received 5, expected a string`],
  [`${pool}${handler}path = "/a b"`, `${at}.path: received "/a b", expected a URL path; characters outside ASCII must be percent-encoded`],
  [`${pool}${handler}pool_name = ""`, `${at}.pool_name: received "", expected a string that is not empty`],
  [
    `${pool}${handler}pool_name = "htpp_pool"`,
    `${at}.pool_name: received "htpp_pool", expected one of http_pool (the pools in outgoing_pools.http) (did you mean "http_pool"?)`,
  ],
  [handler, `${at}.pool_name: received "http_pool", expected a pool under outgoing_pools.http, which defines none`],
  [`${pool}${handler}name = "a@b"`, `${at}.name: received "a@b", expected a name of letters, digits, ".", "_" and "-"`],
  [`${pool}${handler}enabled = 1`, `${at}.enabled: received 1, expected true or false`],
  [
    `${pool}${handler}ordering = "none_"`,
    `${at}.ordering: received "none_", expected one of conversation, sender, none (did you mean "none"?)`,
  ],
  [
    `${pool}[outgoing_pools.http.http_pool]\nmax_connection_age = -1`,
    `${p}.max_connection_age: received -1, expected a duration such as "30s", or "forever"`,
  ],
  [`${pool}${handler}hold = "for ever"`, `${at}.hold: received "for ever", expected a duration such as "30s", or "forever"`],
  [
    `${pool}${handler}when = { drection = "in" }`,
    `${at}.when.drection: received an unknown key, expected one of direction, stanza, type, kind, event, body, from, to, offline, delayed, occupant, has, sender, room, text, not, any (did you mean "direction"?)`,
  ],
  [
    `${pool}${handler}when = { kind = "mesage" }`,
    `${at}.when.kind: received "mesage", expected one of message, correction, retraction, reaction, receipt, marker, chat-state, encrypted, life, status, room-left, room-removed, room-destroyed (did you mean "message"?)`,
  ],
  [
    `${pool}${handler}when = { event = "error" }`,
    `${at}.when.event: received "error", expected one of chat, groupchat, normal, headline, presence, iq, status, unack, offline, room-created, room-joined, room-left, room-affiliation, room-destroyed, account-registered, account-deleted`,
  ],
  [
    `${pool}${handler}when = { stanza = ["message", "pressence"] }`,
    `${at}.when.stanza[1]: received "pressence", expected one of message, presence, iq (did you mean "presence"?)`,
  ],
  [
    `${pool}${handler}when = { direction = [] }`,
    `${at}.when.direction: received an empty list, expected in, out, or a list of them, with at least one`,
  ],
  [`${pool}${handler}when = { not = {} }`, `${at}.when.not: received a table, expected a table with at least one key of \`when\``],
  [
    `${pool}${handler}when = { any = [] }`,
    `${at}.when.any: received an empty list, expected a list of 1 to 100 tables, each with at least one key of \`when\``,
  ],
  [`${pool}${handler}when = { any = [{}] }`, `${at}.when.any[0]: received a table, expected a table with at least one key of \`when\``],
  [
    `${pool}${handler}when = { any = { body = true } }`,
    `${at}.when.any: received a table, expected a list of 1 to 100 tables, each with at least one key of \`when\``,
  ],
  [
    `${pool}${handler}when = { any = [{ not = { kind = "mesage" } }] }`,
    `${at}.when.any[0].not.kind: received "mesage", expected one of message, correction, retraction, reaction, receipt, marker, chat-state, encrypted, life, status, room-left, room-removed, room-destroyed (did you mean "message"?)`,
  ],
  [
    `${pool}${handler}when = { not = { tpye = "chat" } }`,
    `${at}.when.not.tpye: received an unknown key, expected one of direction, stanza, type, kind, event, body, from, to, offline, delayed, occupant, has, sender, room, text, not, any (did you mean "type"?)`,
  ],
  [
    `${pool}${handler}when = { not = { not = { not = { not = { not = { body = true } } } } } }`,
    `${at}.when.not.not.not.not.not: received a table, expected no further rules: \`not\` and \`any\` may be nested 4 deep`,
  ],
  [
    `${pool}${handler}when = { text = ${JSON.stringify(Array.from({ length: 101 }, () => 'x'))} }`,
    `${at}.when.text: received a list, expected a list of at most 100 texts`,
  ],
  [
    `${pool}${handler}when = { from = "${'x'.repeat(3072)}" }`,
    `${at}.when.from: received "${'x'.repeat(79)}…", expected a bare JID of at most 3071 characters, with * and ? as wildcards`,
  ],
  [`${pool}${handler}when = { body = "yes" }`, `${at}.when.body: received "yes", expected true or false`],
  [`${pool}${handler}options = 5`, `${at}.options: received 5, expected a table`],
  [
    `${pool}${handler}options = { path = "x" }`,
    `${at}.options: received a table, expected a table without the keys name, poolName, path, callbackModule, which the service sets itself`,
  ],
  [
    `${pool}[[${at}]]\npath = "/x"\n[[${at}]]\npath = "x"`,
    `${at}[1]: received a handler that is already defined, expected another pool_name, path, callback_module or name than in ${at}[0]`,
  ],
  [
    `${pool}[[${at}]]\npath = "/x"\nname = "n"\n[[${at}]]\nname = "n"`,
    `${at}[1].name: received "n", expected another name than that of ${at}[0]`,
  ],
  // pools
  ['[outgoing_pools.htpp.a]', 'outgoing_pools.htpp: received an unknown type of pool, expected one of http (did you mean "http"?)'],
  ['[outgoing_pools]\nhttp = 1', 'outgoing_pools.http: received 1, expected a table of pools'],
  ['[outgoing_pools.http.a]', `outgoing_pools.http.a.connection: received nothing, expected a table with host, which is ${http}`],
  [
    '[outgoing_pools.http."a@b".connection]\nhost = "http://a"',
    'outgoing_pools.http."a@b": received this name, expected a name of letters, digits, ".", "_" and "-"',
  ],
  [`[${p}.connection]`, `${p}.connection.host: received nothing, expected ${http}`],
  [poolWith('scope = "globl"'), `${p}.scope: received "globl", expected one of global, host, host_type (did you mean "global"?)`],
  [poolWith('workers = 0'), `${p}.workers: received 0, expected a whole number of at least 1`],
  [poolWith('workers = "10"'), `${p}.workers: received "10", expected a whole number of at least 1`],
  [poolWith('threads = 11'), `${p}.threads: received 11, expected at most as many threads as workers (10)`],
  [
    poolWith('strategy = "worst_worker"'),
    `${p}.strategy: received "worst_worker", expected one of best_worker, random_worker, next_worker, available_worker, next_available_worker (did you mean "best_worker"?)`,
  ],
  [poolWith('max_worker_queue_len = -1'), `${p}.max_worker_queue_len: received -1, expected a whole number of at least 0`],
  [poolWith('call_timeout = 0'), `${p}.call_timeout: received 0, expected a duration of 1 ms or more`],
  [poolWith('client = "fetch"'), `${p}.client: received "fetch", expected one of got, undici`],
  [
    poolWith('rate_limits = 5'),
    `${p}.rate_limits: received an unknown key, expected one of scope, workers, strategy, call_timeout, max_worker_queue_len, connection, client, proxy, threads, max_connection_age, max_response_size, retry, rate_limit, circuit_breaker, max_backlog, overflow, headers, auth, sign (did you mean "rate_limit"?)`,
  ],
  [
    poolWith('rate_limit = "fast"'),
    `${p}.rate_limit: received "fast", expected a number of requests per second, or a table such as { requests = 100, per = "1s", burst = 200 }`,
  ],
  [poolWith('rate_limit = 0'), `${p}.rate_limit: received 0, expected a whole number of at least 1`],
  [poolWith('rate_limit = {}'), `${p}.rate_limit.requests: received nothing, expected a whole number of at least 1`],
  [poolWith('rate_limit = { requests = 1, per = 0 }'), `${p}.rate_limit.per: received 0, expected a duration of 1 ms or more`],
  [poolWith('rate_limit = { requests = 1, burst = 0.5 }'), `${p}.rate_limit.burst: received 0.5, expected a whole number of at least 1`],
  [
    poolWith('rate_limit = { request = 1, requests = 1 }'),
    `${p}.rate_limit.request: received an unknown key, expected one of requests, per, burst (did you mean "requests"?)`,
  ],
  [poolWith('circuit_breaker = "off"'), `${p}.circuit_breaker: received "off", expected a table, or false for none`],
  [
    poolWith('circuit_breaker = { failure_ratoi = 0.5 }'),
    `${p}.circuit_breaker.failure_ratoi: received an unknown key, expected one of enabled, failure_ratio, min_attempts, window, open, max_open (did you mean "failure_ratio"?)`,
  ],
  [
    poolWith('circuit_breaker = { failure_ratio = 0 }'),
    `${p}.circuit_breaker.failure_ratio: received 0, expected a number above 0, at most 1`,
  ],
  [
    poolWith('circuit_breaker = { failure_ratio = 1.5 }'),
    `${p}.circuit_breaker.failure_ratio: received 1.5, expected a number above 0, at most 1`,
  ],
  [
    poolWith('circuit_breaker = { min_attempts = 0 }'),
    `${p}.circuit_breaker.min_attempts: received 0, expected a whole number of at least 1`,
  ],
  [
    poolWith('circuit_breaker = { open = "1m", max_open = "30s" }'),
    `${p}.circuit_breaker.max_open: received "30s", expected at least circuit_breaker.open (60000 ms)`,
  ],
  [poolWith('max_backlog = 0'), `${p}.max_backlog: received 0, expected a whole number of at least 1`],
  [
    poolWith('overflow = "hold_intake"'),
    `${p}.overflow: received "hold_intake", expected one of dead-letter-oldest, refuse, hold-intake (did you mean "hold-intake"?)`,
  ],
  [poolWith('retry.first_attempt_share = 50'), `${p}.retry.first_attempt_share: received 50, expected a number from 0 to 1`],
  [poolWith('retry.jitter = 2'), `${p}.retry.jitter: received 2, expected a number from 0 to 1`],
  [poolWith('retry.schedule = ["1s", "soon"]'), `${p}.retry.schedule[1]: received "soon", expected ${durations}`],
  [poolWith('retry.defer = [99]'), `${p}.retry.defer[0]: received 99, expected a whole number from 100 to 599`],
  [
    poolWith('retry.accept = [404]\nretry.refuse = [410, 404]'),
    `${p}.retry.refuse[1]: received 404, expected each status code once; 404 is also in accept`,
  ],
  [host('localhost:8000'), `${p}.connection.host: received "localhost:8000", expected ${http} (did you mean "http://localhost:8000"?)`],
  [host('ftp://localhost'), `${p}.connection.host: received "ftp://localhost", expected ${http}`],
  [host('http://localhost/api'), `${p}.connection.host: received "http://localhost/api", expected ${http} (a path belongs in path_prefix)`],
  [host('http://me:mine@localhost'), `${p}.connection.host: received a URL with credentials, expected ${http}, without credentials`],
  [`${pool}path_prefix = 7`, `${p}.connection.path_prefix: received 7, expected a string`],
  [
    `${pool}path_prefix = "/a?b"`,
    `${p}.connection.path_prefix: received "/a?b", expected a URL path without a query; characters outside ASCII must be percent-encoded`,
  ],
  [
    `${pool}tls = { verify_mode = "peeer" }`,
    `${p}.connection.tls.verify_mode: received "peeer", expected one of peer, selfsigned_peer, none (did you mean "peer"?)`,
  ],
  // attachments
  ['attach = 1', 'attach: received 1, expected tables: [attach.NAME]'],
  ['[attach]\ntype = "component"', 'attach.type: received "component", expected a table'],
  [account.replace(/service.*/, ''), `attach.bot.service: received nothing, expected ${clientService}`],
  [account.replace('xmpp://', 'https://'), `attach.bot.service: received "https://chat.example", expected ${clientService}`],
  [account.replace('bot@chat.example', 'bot'), 'attach.bot.jid: received "bot", expected the address of an account, user@domain'],
  [
    `${account}rooms = ["ops@rooms.example"]`,
    'attach.bot.rooms[0]: received "ops@rooms.example", expected a room and the nickname to use in it, room@domain/nick',
  ],
  [`${account}priority = 200`, 'attach.bot.priority: received 200, expected a whole number from -128 to 127'],
  [
    `${account}${attachment.replace('["localhost"]', '["chat.example"]')}`,
    'attach.chat.hosts: received a list, expected hosts of this attachment alone; "chat.example" belongs to attach.bot',
  ],
  ['[attach.me]\ntype = "htp"', 'attach.me.type: received "htp", expected one of client, component, http (did you mean "http"?)'],
  [
    `${listener}secret = "hunter2"`,
    'attach.mim.secret: received an unknown key, expected one of type, listen, path, username, password, tls, hosts, max_body_bytes, max_uncommitted_bytes, max_connections, rate_limit',
  ],
  [
    listener.replace(/listen.*/, ''),
    'attach.mim.listen: received nothing, expected address:port, such as "127.0.0.1:9464" or "[::1]:9464"',
  ],
  [`${listener}path = "in?x"`, 'attach.mim.path: received "in?x", expected a URL path that starts with "/", without a query'],
  [`${listener}max_body_bytes = 0`, 'attach.mim.max_body_bytes: received 0, expected a whole number of at least 1'],
  [`${listener}username = "a:b"\npassword = "hunter2"`, 'attach.mim.username: received "a:b", expected a user name without a colon'],
  [
    `${listener}username = "mim"`,
    'attach.mim.password: received nothing, expected username and password, since neither works without the other',
  ],
  [
    `${listener}password = "hunter2"`,
    'attach.mim.username: received nothing, expected username and password, since neither works without the other',
  ],
  [
    `${listener.replace('127.0.0.1', '0.0.0.0')}username = "mim"`,
    'attach.mim.password: received nothing, expected username and password, since listen (0.0.0.0) is reachable from other machines',
  ],
  [
    `${attachment}${listener.replace('mim.example', 'localhost')}`,
    'attach.mim.hosts: received a list, expected hosts of this attachment alone; "localhost" belongs to attach.chat',
  ],
  [`${listener}rate_limit = 0`, 'attach.mim.rate_limit: received 0, expected a whole number of at least 1'],
  [
    `${attachment}secrt = "hunter2"`,
    'attach.chat.secrt: received an unknown key, expected one of type, service, domain, secret, feed, hosts, max_stanza_bytes, max_uncommitted_bytes, ping_interval, ping_timeout, connect_timeout, reconnect_max (did you mean "secret"?)',
  ],
  [`${attachment}feed = "tpa"`, 'attach.chat.feed: received "tpa", expected one of tap, service_log, direct (did you mean "tap"?)'],
  [
    attachment.replace('xmpp:', 'http:'),
    'attach.chat.service: received "http://127.0.0.1", expected xmpp://host[:port] of the server’s component listener',
  ],
  [
    attachment.replace('127.0.0.1', '127.0.0.1:70000'),
    'attach.chat.service: received "xmpp://127.0.0.1:70000", expected xmpp://host[:port] of the server’s component listener',
  ],
  [
    attachment.replace(/service = (.*)/, 'service = [$1, "b.example"]'),
    'attach.chat.service[1]: received "b.example", expected xmpp://host[:port] of the server’s component listener',
  ],
  [
    attachment.replace(/service = (.*)/, 'service = [$1, "xmpp://127.0.0.1:5347"]'),
    'attach.chat.service: received a list, expected each address once',
  ],
  [
    `${attachment.replace(/service = (.*)/, 'service = [$1, "xmpp://b.example"]')}feed = "service_log"`,
    'attach.chat.service: received a list, expected one address; several require feed = "tap"',
  ],
  [attachment.replace('"a secret of the test"', '""'), 'attach.chat.secret: received an empty string, expected a string that is not empty'],
  [attachment.replace(/secret.*/, ''), 'attach.chat.secret: received nothing, expected a string that is not empty'],
  [attachment.replace(/hosts.*/, ''), 'attach.chat.hosts: received nothing, expected a list of domain names here, or in general.hosts'],
  [
    attachment.replace('pusher.localhost', 'localhost'),
    'attach.chat.domain: received "localhost", expected a domain of the component’s own, which is not one of the hosts (for example "pusher.localhost")',
  ],
  [
    `${attachment}${attachment.replaceAll('chat', 'twin')}`,
    'attach.twin.hosts: received a list, expected hosts of this attachment alone; "localhost" belongs to attach.chat',
  ],
])('%j', async (text, line) => {
  expect(await mistakeLines(text)).toEqual([line]);
});

test('a missing callback module is reported with all searched places', async () => {
  const file = await writeConfig(`${pool}${handler}callback_module = "my_module"`);
  const folder = dirname(file);
  const error = await loadConfig(file, {}).catch((thrown: unknown) => thrown);
  const places = ['my_module.mjs', 'my_module.js', 'callbacks/my_module.mjs', 'callbacks/my_module.js', 'node_modules/my_module'];
  expect(String(error)).toContain(
    `${at}.callback_module: received "my_module", expected a callback module. Searched: ${places.map((place) => `${folder}/${place}`).join(', ')}`,
  );
});

test('all mistakes of a file are reported in one error, one per line', async () => {
  const file = await writeConfig(
    `[general]\nhosts = "a"\n[attach.chat]\ntype = "component"\n${poolWith('workers = 0\nclinet = "got"')}${handler}pool_name = "x"\n[admin]\nlisten = 1\n[service]\ndrain_timeout = "?"`,
  );
  const error = await loadConfig(file, {}).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigInvalid)) throw new Error('expected CONFIG_INVALID', { cause: error });

  expect(error.code).toBe('CONFIG_INVALID');
  expect(error.mistakes.map(({ path }) => path)).toEqual([
    'general.hosts',
    'attach.chat.service',
    'attach.chat.domain',
    'attach.chat.secret',
    `${p}.workers`,
    `${p}.clinet`,
    `${at}.pool_name`,
    'admin.listen',
    'service.drain_timeout',
  ]);
  const lines = error.message.split('\n');
  expect(lines[0]).toBe(`${file} has 9 mistakes:`);
  expect(lines).toHaveLength(10);
});

test('consequences of a mistake in the hosts are not reported', async () => {
  const withoutHosts = attachment.replace(/hosts.*/, '');
  expect(await mistakeLines(`[general]\nhosts = "a"\n${withoutHosts}[[host_config]]\nhost = "a"`)).toEqual([
    'general.hosts: received "a", expected a list of domain names',
  ]);
});
