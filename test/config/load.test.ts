// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadAdmin, loadConfig } from '../../src/config/load.ts';
import { effectiveUrl } from '../../src/config/pool.ts';
import type { Config } from '../../src/config/service-config.ts';
import { attachment, listener, load, pool, writeConfig } from './write-config.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/config/${name}`, import.meta.url));

function urlsOf({ pools, handlers }: Config): readonly string[] {
  return handlers.map((handler) => {
    const itsPool = pools.find(({ id }) => id === handler.pool);
    return itsPool === undefined ? 'no pool' : effectiveUrl(itsPool, handler);
  });
}

test('MongooseIM’s documented pool and handler load unchanged', async () => {
  const config = await loadConfig(fixture('documented-pool-and-handler.toml'), {});
  expect(config.pools).toMatchObject([{ id: 'http_pool', workers: 50, requestTimeoutMs: 2000, callTimeoutMs: 5000 }]);
  expect(config.handlers).toMatchObject([{ callbackModule: 'mod_event_pusher_http_defaults', module: { kind: 'builtin' } }]);
  expect(urlsOf(config)).toEqual(['https://localhost:8000/webservice/notifications']);
});

test('MongooseIM’s documented options load under the module’s own name', async () => {
  const config = await loadConfig(fixture('documented-options.toml'), {});
  expect(config.handlers).toMatchObject([{ pool: 'http_pool', callbackModule: 'mod_event_pusher_http_notifications' }]);
  expect(urlsOf(config)).toEqual(['https://localhost:8000/notifications']);
});

test('MongooseIM’s two documented handlers load if their modules are in callbacks/', async () => {
  const config = await loadConfig(fixture('documented-two-handlers.toml'), {});
  expect(urlsOf(config)).toEqual(['https://localhost:8000/webservice/notifications', 'https://localhost:8000/webservice/alerts']);
  expect(config.handlers.map(({ module }) => module.kind === 'url' && module.url.replace(/.*\/fixtures\//, ''))).toEqual([
    'config/callbacks/mod_event_pusher_http_notifications.mjs',
    'config/callbacks/mod_event_pusher_http_alerts.mjs',
  ]);
});

test.each([
  ['one table', '[modules.mod_event_pusher.backend.http]\npath = "/x"'],
  ['a list', '[[modules.mod_event_pusher.backend.http]]\npath = "/x"'],
  ['handlers', '[[modules.mod_event_pusher.http.handlers]]\npath = "/x"'],
  ['handlers inline', '[modules.mod_event_pusher.http]\nhandlers = [{ path = "/x" }]'],
  ['the module’s name', '[modules.mod_event_pusher_http]\npath = "/x"'],
  ['a list under the module’s name', '[[modules.mod_event_pusher_http]]\npath = "/x"'],
])('a handler may be written as %s', async (_, text) => {
  const config = await load(`${pool}${text}`);
  expect(urlsOf(config)).toEqual(['http://localhost:8000/x']);
});

test('a handler’s name does not depend on order and leading slashes', async () => {
  const handler = (path: string): string => `[[modules.mod_event_pusher.http.handlers]]\npath = "${path}"\n`;
  const names = async (text: string): Promise<readonly string[]> => (await load(`${pool}${text}`)).handlers.map(({ name }) => name);

  const [first, second] = await names(handler('/first') + handler('/second'));
  expect(first).toMatch(/^http_pool-first-[\da-f]{8}$/);
  expect(await names(handler('second') + handler('/first'))).toEqual([second, first]);
});

test('all defaults are filled in', async () => {
  const config = await load(`${pool}${attachment}[modules.mod_event_pusher.backend.http]`);
  const folder = dirname(config.file);
  expect(config).toMatchObject({
    hosts: ['localhost'],
    logLevel: 'info',
    attachments: [
      {
        nodes: [{ name: 'xmpp://127.0.0.1:5347', host: '127.0.0.1', port: 5347 }],
        feed: 'tap',
        maxStanzaBytes: 1024 ** 2,
        maxUncommittedBytes: 16 * 1024 ** 2,
        pingIntervalMs: 30_000,
        pingTimeoutMs: 10_000,
        connectTimeoutMs: 10_000,
        reconnectCapMs: 60_000,
      },
    ],
    pools: [
      {
        id: 'http_pool',
        client: 'undici',
        origin: 'http://localhost:8000',
        pathPrefix: '/',
        workers: 10,
        threads: undefined,
        requestTimeoutMs: 2000,
        callTimeoutMs: 5000,
        retry: { jitter: 0.2, maxAgeMs: 3 * 86_400_000, accept: [], defer: [], refuse: [] },
        firstAttemptShare: 0.5,
        pauseOnGone: false,
        rateLimit: undefined,
        circuitBreaker: { failureRatio: 0.5, minAttempts: 20, windowMs: 30_000, openMs: 30_000, maxOpenMs: 300_000 },
        maxBacklog: 1_000_000,
        overflow: 'dead-letter-oldest',
        tls: { verify: true, ca: undefined },
      },
    ],
    handlers: [
      {
        path: '',
        requestPath: '/',
        when: undefined,
        ordering: 'conversation',
        holdMs: 30_000,
        ttlMs: undefined,
        options: {},
        respectHints: false,
      },
    ],
    callbacks: { timeoutMs: 5000, blockTimeoutMs: 10_000 },
    spool: {
      engine: 'sqlite',
      path: join(folder, 'var/spool.sqlite'),
      maxBytes: 10e9,
      minFreeBytes: 64e6,
      deadLetterMaxAgeMs: 30 * 86_400_000,
      deadLetterMax: undefined,
    },
    admin: { host: '127.0.0.1', port: 9464, token: undefined },
    gate: undefined,
    metrics: { mongooseim: false, token: undefined },
    drainTimeoutMs: 25_000,
    notices: [],
  });
  expect(config.pools[0]?.retry.scheduleMs).toEqual([1, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200].map((s) => s * 1000));
  const [chat] = config.attachments;
  expect(chat?.type === 'component' && chat.secret.reveal()).toBe('a secret of the test');
});

test('a listener for posts has limits, and needs no credentials on a loopback address', async () => {
  const config = await load(`${attachment}${listener}`);
  expect(config.attachments[1]).toEqual({
    type: 'http',
    name: 'mim',
    listen: { host: '127.0.0.1', port: 8080 },
    path: '/',
    credentials: undefined,
    hosts: ['mim.example'],
    maxBodyBytes: 65_536,
    maxUncommittedBytes: 16_777_216,
    maxConnections: 1000,
    rateLimit: undefined,
  });
  expect(config.hosts).toEqual(['localhost', 'mim.example']);
});

test('a listener for posts that other machines can reach needs credentials', async () => {
  const open = `${listener.replace('127.0.0.1', '[::]')}username = "mim"\npassword = "\${PASSWORD}"\nrate_limit = 90`;
  const [mim] = (await load(open, { env: { PASSWORD: 'a secret of the test' } })).attachments;
  expect(mim).toMatchObject({ credentials: { username: 'mim' }, rateLimit: { requests: 90, perMs: 1000, burst: 90 } });
  expect(mim?.type === 'http' && mim.credentials?.password.reveal()).toBe('a secret of the test');
});

test('a component may have one address, or one per node', async () => {
  const config = await load(attachment.replace(/service = (.*)/, 'service = [$1, "xmpp://b.example"]'));
  expect(config.attachments).toMatchObject([{ nodes: [{ name: 'xmpp://127.0.0.1:5347' }, { name: 'xmpp://b.example:5347', port: 5347 }] }]);
});

test('an attachment without hosts has those of [general], and all hosts are local', async () => {
  const more =
    '[attach.other]\ntype = "component"\nservice = "xmpp://[::1]:5348"\ndomain = "p.example"\nsecret = "s"\nfeed = "service_log"\n';
  const config = await load(`[general]\nhosts = ["Example.ORG"]\n${attachment}${more}`);
  expect(config.attachments.map(({ name, hosts }) => [name, hosts])).toEqual([
    ['chat', ['localhost']],
    ['other', ['example.org']],
  ]);
  expect(config.attachments[1]).toMatchObject({ nodes: [{ name: 'xmpp://[::1]:5348', host: '::1', port: 5348 }] });
  expect(config.hosts).toEqual(['example.org', 'localhost']);
});

test.each([
  ['1500', 1500],
  ['"500ms"', 500],
  ['"2s"', 2000],
  ['"1.5s"', 1500],
  ['"5m"', 300_000],
  ['"1h"', 3_600_000],
  ['"7d"', 604_800_000],
])('the duration %s is %i ms', async (written, ms) => {
  expect((await load(`[service]\ndrain_timeout = ${written}`)).drainTimeoutMs).toBe(ms);
});

test.each([
  ['2048', 2048],
  ['"100B"', 100],
  ['"10MB"', 10_000_000],
  ['"512KiB"', 524_288],
  ['"1.5 GiB"', 1_610_612_736],
])('the size %s is %i bytes', async (written, bytes) => {
  expect((await load(`[spool]\nmin_free = ${written}`)).spool.minFreeBytes).toBe(bytes);
});

test.each([
  ['none', 'silent'],
  ['emergency', 'fatal'],
  ['alert', 'fatal'],
  ['critical', 'fatal'],
  ['error', 'error'],
  ['warning', 'warn'],
  ['warn', 'warn'],
  ['notice', 'info'],
  ['info', 'info'],
  ['debug', 'debug'],
  ['all', 'debug'],
])('loglevel %s is %s', async (written, level) => {
  expect((await load(`[general]\nloglevel = "${written}"`)).logLevel).toBe(level);
});

test('all keys of a handler are read', async () => {
  const text = `${pool}[modules.mod_event_pusher.backend.http]
    name = "mine"
    ordering = "sender"
    hold = "forever"
    ttl = "1h"
    when = { direction = "in", kind = ["message", "reaction"], body = true, to = "*@rooms.example", text = "*!", not = { any = [{ sender = "bot@x" }] } }
    options = { brand = "x", limits = [1, 2] }`;
  expect((await load(text)).handlers).toMatchObject([
    {
      name: 'mine',
      ordering: 'sender',
      holdMs: Number.POSITIVE_INFINITY,
      ttlMs: 3_600_000,
      when: {
        direction: ['in'],
        kind: ['message', 'reaction'],
        body: true,
        to: ['*@rooms.example'],
        text: ['*!'],
        not: { any: [{ sender: ['bot@x'] }] },
      },
      options: { brand: 'x', limits: [1, 2] },
    },
  ]);
});

const poolWith = (keys: string): string => `[outgoing_pools.http.http_pool]\n${keys}\n${pool}`;

test.each([
  ['25', { requests: 25, perMs: 1000, burst: 25 }],
  ['{ requests = 25 }', { requests: 25, perMs: 1000, burst: 25 }],
  ['{ requests = 600, per = "1m", burst = 50 }', { requests: 600, perMs: 60_000, burst: 50 }],
])('the rate limit %s is read', async (written, rateLimit) => {
  expect((await load(poolWith(`rate_limit = ${written}`))).pools).toMatchObject([{ rateLimit }]);
});

test.each(['false', '{ enabled = false, open = "1m" }'])('circuit_breaker = %s disables the circuit breaker', async (written) => {
  expect((await load(poolWith(`circuit_breaker = ${written}`))).pools).toMatchObject([{ circuitBreaker: undefined }]);
});

test.each([
  ['true', { failureRatio: 0.5, minAttempts: 20, windowMs: 30_000, openMs: 30_000, maxOpenMs: 300_000 }],
  ['{ failure_ratio = 1, min_attempts = 1, window = "1m" }', { failureRatio: 1, minAttempts: 1, windowMs: 60_000 }],
  ['{ open = "1s", max_open = "2s" }', { openMs: 1000, maxOpenMs: 2000 }],
  ['{ open = "10m" }', { openMs: 600_000, maxOpenMs: 600_000 }],
])('the circuit breaker %s is read', async (written, circuitBreaker) => {
  expect((await load(poolWith(`circuit_breaker = ${written}`))).pools).toMatchObject([{ circuitBreaker }]);
});

test('a pool’s limits and share of first attempts are read', async () => {
  const keys = 'max_backlog = 500\noverflow = "refuse"\nretry.first_attempt_share = 0.25';
  expect((await load(poolWith(keys))).pools).toMatchObject([{ maxBacklog: 500, overflow: 'refuse', firstAttemptShare: 0.25 }]);
});

test('an overflow setting that stops the intake of other pools gives a notice', async () => {
  expect((await load(poolWith('overflow = "hold-intake"\nmax_backlog = 500'))).notices).toContain(
    'outgoing_pools.http.http_pool.overflow: "hold-intake" stops the intake of every pool, not only of this one, while 500 deliveries wait here',
  );
});

test('a ttl above max_age gives a notice', async () => {
  const withTtl = (ttl: string): string => `${poolWith('retry.max_age = "30h"')}[modules.mod_event_pusher.backend.http]\nttl = "${ttl}"`;
  expect((await load(withTtl('31h'))).notices).toContain(
    'modules.mod_event_pusher.backend.http.ttl: has no effect: retry.max_age of pool http_pool is shorter',
  );
  expect((await load(withTtl('30h'))).notices.join()).not.toContain('ttl');
});

test('a retry schedule longer than max_age gives a notice', async () => {
  const withSchedule = (last: string): string => poolWith(`retry = { schedule = ["10m", "${last}"], max_age = "1h" }`);
  expect((await load(withSchedule('51m'))).notices).toContain(
    'outgoing_pools.http.http_pool.retry.schedule: takes longer than retry.max_age, so a delivery is dead before its last retry',
  );
  expect((await load(withSchedule('50m'))).notices.join()).not.toContain('schedule');
});

test('a handler that is not enabled is checked, then left out with a notice', async () => {
  const config = await load(`${pool}[modules.mod_event_pusher.backend.http]\nenabled = false\nname = "idle"`);
  expect(config.handlers).toEqual([]);
  expect(config.notices).toContain('modules.mod_event_pusher.backend.http: handler idle is not enabled and evaluates no packet');
});

test('a connection to PostgreSQL over the network without sslmode gives a notice', async () => {
  const notices = async (url: string) => (await load(`[spool]\nengine = "postgres"\nurl = "${url}"`)).notices.join();
  expect(await notices('postgres://me:hidden@db.example.org/spool')).toMatch(/spool\.url: has no sslmode, .* add \?sslmode=verify-full/);
  expect(await notices('postgres://me:hidden@db.example.org/spool')).not.toContain('hidden');
  for (const url of [
    'postgres://me@[::1]/spool',
    'postgres://me@127.0.0.1:5433/spool',
    'postgres://me@db.example.org/spool?sslmode=disable',
  ])
    expect(await notices(url)).not.toContain('sslmode');
});

test('a missing attachment, host and handler give one notice each', async () => {
  expect((await load('')).notices).toEqual([
    'no [attach.NAME] section: without an attachment `run` refuses to start',
    'general.hosts is empty: no packet is local, so no handler evaluates one',
    'no enabled handler under modules.mod_event_pusher: nothing is pushed',
  ]);
});

test('the admin section can be loaded alone, with mistakes in other sections', async () => {
  const file = await writeConfig('[admin]\nlisten = "[::1]:0"\ntoken = "${TOKEN}"\n[attach.chat]\nsecret = "${NOT_SET}"');
  const admin = await loadAdmin(file, { TOKEN: 'let me in' });
  expect(admin).toMatchObject({ host: '::1', port: 0 });
  expect(admin.token?.reveal()).toBe('let me in');
  await expect(loadAdmin(file, {})).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('an empty gate section enables the gate with all defaults', async () => {
  const { gate } = await load('[gate]');
  expect(gate).toEqual({
    listen: { host: '127.0.0.1', port: 9465 },
    token: undefined,
    timeoutMs: 1000,
    maxBodyBytes: 1_048_576,
    maxConnections: 10_000,
  });
});

test('further tokens of the admin listener have hashes, and may read only by default', async () => {
  const hash = 'AB'.repeat(32);
  const admin = `[admin]\nlisten = "0.0.0.0:0"\ntokens = [{ name = "night", hash = "${hash}" }, { name = "day", role = "operate", content = true, hash = "${hash}" }]\n`;
  const file = await writeConfig(admin);
  expect((await loadAdmin(file, {})).tokens).toEqual([
    { name: 'night', role: 'read', content: false, hash: hash.toLowerCase() },
    { name: 'day', role: 'operate', content: true, hash: hash.toLowerCase() },
  ]);
});

test('mistakes in tokens are named, and off loopback one is required', async () => {
  const refusalOf = async (admin: string) => String(await loadAdmin(await writeConfig(`[admin]\n${admin}\n`), {}).catch((error) => error));
  const hash = 'ab'.repeat(32);
  expect(await refusalOf('tokens = [{ name = "a b", hash = "secret" }]')).toMatch(/admin\.tokens\[0\]\.name.*admin\.tokens\[0\]\.hash/s);
  expect(await refusalOf(`tokens = [{ name = "a", hash = "${hash}" }, { name = "a", hash = "${hash}" }]`)).toContain(
    'a name that no other token has',
  );
  expect(await refusalOf('tokens = [{ name = "a", role = "admin", hash = "x" }]')).toContain('role');
  expect(await refusalOf('tokens = []')).toContain('at least one');
  expect(await refusalOf('listen = "0.0.0.0:0"')).toContain('reachable from other machines');
});
