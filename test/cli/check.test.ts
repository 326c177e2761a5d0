import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { checkAsJson, renderCheck } from '../../src/cli/check.ts';
import { renderMistakes } from '../../src/cli/command-line.ts';
import { durationText, sizeText } from '../../src/cli/toml-text.ts';
import { loadConfig } from '../../src/config/load.ts';
import { migrate, migrations } from '../../src/spool/sqlite/schema.ts';
import { attachment, listener, load, mistakesOf, pool, writeConfig } from '../config/write-config.ts';
import { runCli } from '../support/run-cli.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/config/${name}`, import.meta.url));

const everything = `
[general]
hosts = ["localhost", "b.example"]
loglevel = "debug"
${attachment}
${listener}
path = "/in"
username = "mim"
password = "a secret of the test"
max_body_bytes = "8KiB"
rate_limit = { requests = 50, burst = 100 }
[outgoing_pools.http.slow]
workers = 3
client = "got"
retry = { schedule = ["250ms", "90s"], accept = [404], defer = [403], refuse = [503], first_attempt_share = 0.75 }
rate_limit = { requests = 90, per = "1m", burst = 5 }
circuit_breaker = { failure_ratio = 0.25, min_attempts = 3, window = "1m", open = "1500ms", max_open = "1h" }
max_backlog = 1000
overflow = "refuse"
[outgoing_pools.http.slow.connection]
host = "http://127.0.0.1:8000"
path_prefix = "/api"
[modules.mod_event_pusher.backend.http]
pool_name = "slow"
path = "/hook?x=1"
name = "mine"
hold = "forever"
ttl = "2h"
when = { direction = "in", body = true, has = ["urn:x:1", "urn:x:2"], text = ["*urgent*"], not = { sender = ["bot@*"] }, any = [{ type = ["chat"] }, { room = ["team@*"], body = true }] }
follow_up = { allow = ["10.0.0.172:5984", "*.partner.example"], max_depth = 3, reply_from = "bot@pusher.localhost", default_host = "b.example" }
options = { brand = "x \\"y\\"", limits = [1, 2.5], deep = { "odd key" = true } }
[spool]
engine = "memory"
max_bytes = "1GiB"
dead_letter_max = 50
[admin]
listen = "[::1]:0"
[gate]
listen = "[::1]:9000"
token = "a secret of the test"
timeout = "750ms"
max_body_bytes = "8KiB"
[metrics]
mongooseim = true
`;

const asking = `
[outgoing_pools.http.business.connection]
host = "https://business.example"
${pool}
[modules.mod_event_pusher.backend.http]
name = "push"
path = "/notifications"
before_push = { pool_name = "business", path = "/im?x=1", timeout = "2500ms", on_failure = "refuse" }
`;

const account = (service: string, more = '') => `
[attach.bot]
type = "client"
service = "${service}"
jid = "bot@chat.example"
password = "a secret of the test"
resource = "here"
priority = -5
rooms = ["ops@rooms.example/the bot"]
carbons = false
archive = false
${more}
`;

test.each([
  ['all keys', everything],
  ['a business server that is asked', asking],
  ['an account on this machine', account('xmpp://[::1]:15222')],
  ['an account over TLS', account('xmpps://chat.example')],
  ['an account over STARTTLS', account('xmpp://127.0.0.1', '[attach.bot.tls]\nserver_name_indication.host = "inner.example"')],
  ['a breaker switched off', `${pool}[outgoing_pools.http.http_pool]\ncircuit_breaker = false`],
  ['connections that last', `${pool}[outgoing_pools.http.http_pool]\nmax_connection_age = "forever"`],
])('what is printed of %s is a configuration that comes to the same', async (_, text) => {
  const config = await load(text);
  const [toml = ''] = renderCheck(config).split(/\n\n(?:Requests go to|Notices):/);
  const again = await load(toml.replaceAll('[redacted]', 'a secret of the test'));
  // What is printed gives every key, so that something may be said of keys which the file left out.
  expect({ ...again, file: config.file, files: config.files, notices: config.notices, renewed: config.renewed }).toEqual(config);
});

test('prints defaults and no secrets', async () => {
  const shown = renderCheck(await load(`${pool}${attachment}[modules.mod_event_pusher.backend.http]`));
  expect(shown).toContain('call_timeout = "5s"\nmax_connection_age = "5m"\n');
  expect(shown).toContain('circuit_breaker.max_open = "5m"\nmax_backlog = 1000000\noverflow = "dead-letter-oldest"\n');
  expect(shown).toContain('dead_letter_max_age = "30d"\n');
  expect(shown).not.toContain('dead_letter_max =');
  expect(shown).toContain('retry.schedule = ["1s", "5s", "30s", "2m", "10m", "30m", "1h", "3h", "6h", "12h"]\n');
  expect(shown).toContain('secret = "[redacted]"\n');
  expect(shown).not.toContain('a secret of the test');
});

test('prints permitted destinations of orders, by default the origin of pushes, and no built-in pool', async () => {
  const shown = renderCheck(await load(`${pool}${attachment}[modules.mod_event_pusher.backend.http.follow_up]`));
  expect(shown).toContain('follow_up.allow = ["localhost:8000"]\nfollow_up.max_depth = 10\n');
  expect(shown).toMatch(/POST http:\/\/localhost:8000\/, and ordered requests to localhost:8000\n/);
  expect(shown).not.toContain('outgoing_pools.http.follow_up');
});

test('prints a listener for posts as TOML', async () => {
  const shown = renderCheck(await load(listener));
  expect(shown).toContain(
    '[attach.mim]\ntype = "http"\nlisten = "127.0.0.1:8080"\npath = "/"\nhosts = ["mim.example"]\nmax_body_bytes = "64KiB"\nmax_uncommitted_bytes = "16MiB"\nmax_connections = 1000\n',
  );
});

test('prints the URL of each handler after the configuration, then the notices', async () => {
  const shown = renderCheck(await loadConfig(fixture('documented-two-handlers.toml'), {}));
  expect(shown.slice(shown.indexOf('Requests go to:'))).toBe(`Requests go to:
  http_pool-notifications-9b73075f  POST https://localhost:8000/webservice/notifications
  http_pool-alerts-d8c5ce0e         POST https://localhost:8000/webservice/alerts

Notices:
  - no [attach.NAME] section: without an attachment \`run\` refuses to start
  - general.hosts is empty: no packet is local, so no handler evaluates one
`);
});

test('prints no headings without handlers and notices', async () => {
  const shown = renderCheck(await load(everything));
  expect(shown).not.toContain('Notices');
  expect(renderCheck(await load(attachment))).not.toContain('Requests go to');
});

test('prints a complete mongooseim.toml within 100 columns', async () => {
  const lines = renderCheck(await loadConfig(fixture('mongooseim.toml'), {})).split('\n');
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
});

test('prints a long list with one item per line', async () => {
  const hosts = Array.from({ length: 12 }, (_, index) => `host-${index}.example.org`);
  const shown = renderCheck(await load(`[general]\nhosts = ${JSON.stringify(hosts)}`));
  expect(shown).toContain('hosts = [\n  "host-0.example.org",\n');
});

test('prints wide names and URLs on two lines', async () => {
  const path = `/${'x'.repeat(80)}`;
  const shown = renderCheck(await load(`${pool}[modules.mod_event_pusher.backend.http]\npath = "${path}"\nname = "wide"`));
  expect(shown).toContain(`  wide\n    POST http://localhost:8000${path}\n`);
});

test('--json prints the same facts as an object', async () => {
  const json: unknown = JSON.parse(JSON.stringify(checkAsJson(await load(everything))));
  expect(json).toMatchObject({
    hosts: ['localhost', 'b.example', 'mim.example'],
    attachments: [
      { name: 'chat', secret: '[redacted]' },
      { name: 'mim', listen: { port: 8080 }, credentials: '[redacted]' },
    ],
    pools: [{ id: 'slow', retry: { scheduleMs: [250, 90_000] } }, { id: 'follow_up' }, { id: 'follow_up_messages' }],
    handlers: [{ name: 'mine', method: 'POST', url: 'http://127.0.0.1:8000/api/hook?x=1', holdMs: 'forever', ttlMs: 7_200_000 }],
    notices: [],
  });
  expect(json).not.toHaveProperty('redacted');
});

test('mistakes are listed one by one, wrapped to the width', async () => {
  const shown = renderMistakes(await mistakesOf('[spol]\n[service]\ndrain_timeout = "soon"'));
  expect(shown).toBe(`  - spol: received an unknown key, expected one of general, attach, outgoing_pools, egress, modules,
    host_config, callbacks, spool, history, admin, gate, log, metrics, service (did you mean
    "spool"?)
  - service.drain_timeout: received "soon", expected a duration: milliseconds, or a string such as
    "500ms", "2s", "5m", "1h", "30d"
`);
});

test.each([
  [0, '0ms'],
  [1, '1ms'],
  [1500, '1500ms'],
  [90_000, '90s'],
  [60_000, '1m'],
  [86_400_000, '1d'],
  [Number.POSITIVE_INFINITY, 'forever'],
])('%d ms is shown as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test.each([
  [0, '0B'],
  [1001, '1001B'],
  [1024, '1KiB'],
  [64e6, '64MB'],
  [10e9, '10GB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test('prints the URL of questions next to the URL of pushes', async () => {
  const config = await load(asking);
  const askUrl = 'https://business.example/im?x=1&command=callbackBeforePushCommand&contenttype=json';
  const text = renderCheck(config);
  expect(text).toContain(`push, asked first\n    POST ${askUrl}`);
  expect(text).toContain('push\n    POST http://localhost:8000/notifications');
  expect(checkAsJson(config)).toMatchObject({ handlers: [{ name: 'push', askUrl, beforePush: { onFailure: 'refuse', timeoutMs: 2500 } }] });
});

test('exported functions that are no callbacks give a notice', async () => {
  const callbacks = { 'callbacks/own.mjs': "export const prepareBody = () => helper('x'); export function helper(text) { return text; }" };
  const file = await writeConfig(
    `${attachment}${pool}[modules.mod_event_pusher.backend.http]\nname = "mine"\ncallback_module = "own"`,
    callbacks,
  );
  const { code, stdout } = await runCli(['check', '--config', file]);
  expect(code).toBe(0);
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
    'handler mine: own exports functions that are not callbacks and are never called: helper',
  );
});

test.each([
  ['an earlier', migrations.length - 1, 0, `has schema ${migrations.length - 1} of an earlier version, and the next start upgrades it`],
  ['the same', migrations.length, 0, undefined],
  ['a later', migrations.length + 1, 1, `has schema version ${migrations.length + 1}; this service knows versions up to`],
])('the spool of %s version is reported before a start', async (_, version, exitCode, report) => {
  const file = await writeConfig(`${attachment}${pool}[spool]\npath = "spool.sqlite"`);
  const db = new Database(join(dirname(file), 'spool.sqlite'));
  migrate(db, migrations.slice(0, version));
  db.pragma(`user_version = ${version}`);
  db.close();
  const { code, stdout, stderr } = await runCli(['check', '--config', file]);
  const said = (stdout + stderr).replaceAll(/\s+/g, ' ');
  expect(code).toBe(exitCode);
  if (report === undefined) expect(said).not.toContain('schema');
  else expect(said).toContain(report);
});

test('a paused handler is reported, because an earlier version would send its deliveries', async () => {
  const file = await writeConfig(`${attachment}${pool}[spool]\npath = "spool.sqlite"`);
  const db = new Database(join(dirname(file), 'spool.sqlite'));
  migrate(db);
  db.exec("INSERT INTO paused VALUES ('http_pool'), ('http_pool/push')");
  db.close();
  const { code, stdout } = await runCli(['check', '--json', '--config', file]);
  const { notices }: { readonly notices: readonly string[] } = JSON.parse(stdout);
  expect([code, notices.filter((notice) => notice.includes('paused'))]).toEqual([
    0,
    [
      'the handler push on the pool http_pool is paused: a version without "pools pause POOL/HANDLER" would send its deliveries, so pause the pool before you go back to one',
    ],
  ]);
});
