/** `init` and `check --online` with scripted and real servers. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/kit/secret.ts';
import { importBuilt } from '../support/built.ts';
import { requirePackage } from '../support/packages.ts';
import { hasPostgres, startPostgres } from '../support/postgres.ts';
import { startProsody } from '../support/prosody.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { runCli } from '../support/run-cli.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { freePort, startTarget } from '../support/target.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'check-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function checkOnline(config: string, listen = '127.0.0.1:0') {
  const file = join(folder, 'event-pusher.toml');
  await writeFile(file, `[general]\nhosts = ["localhost"]\n[admin]\nlisten = "${listen}"\n${config}`);
  const { code, stdout } = await runCli(['check', '--online', '--config', file, '--json']);
  const { online }: { readonly online: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[] } =
    JSON.parse(stdout);
  return { code, online };
}

test('a chat server and a backend that answer are in order, and notice nothing but a connection', async () => {
  await using chat = await startScriptedChat();
  await using backend = await startTarget();
  const { code, online } = await checkOnline(plainConfig({ componentPort: chat.server.port, backend: backend.origin }));
  expect(online).toEqual([
    {
      name: `attachment chat at xmpp://127.0.0.1:${chat.server.port}`,
      ok: true,
      detail: 'the server accepts the component pusher.localhost; its hosts and feed are not tried',
    },
    { name: `pool http_pool at ${backend.origin}`, ok: true, detail: 'connected' },
  ]);
  expect(code).toBe(0);
  expect(backend.requests).toEqual([]);
  expect(chat.server.received.filter(({ name }) => name === 'iq')).toEqual([]);
});

test('each failure is named, and the exit code is 1', async () => {
  await using chat = await startScriptedChat({ secret: 'another' });
  const closed = await freePort();
  const { code, online } = await checkOnline(plainConfig({ componentPort: chat.server.port, backend: `http://127.0.0.1:${closed}` }));
  expect(code).toBe(1);
  expect(online.map(({ ok, detail }) => ({ ok, detail }))).toEqual([
    { ok: false, detail: expect.stringContaining('refuses the secret of pusher.localhost') },
    {
      ok: false,
      detail: expect.stringMatching(
        `ECONNREFUSED 127.0.0.1:${closed}: nothing listens there: start the backend, or correct connection.host`,
      ),
    },
  ]);
});

test('each backend is connected, and a failure says what to do about it', async () => {
  await using chat = await startScriptedChat();
  await using plain = await startTarget();
  const identity = makeSelfSigned(['DNS:other.example']);
  await using named = await startTarget({ tls: identity });
  await using expired = await startTarget({ tls: makeSelfSigned(['DNS:localhost'], { expired: true }) });
  const withoutTls = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1');
  await once(withoutTls, 'listening');
  onTestFinished(() => void withoutTls.close());
  await writeFile(join(folder, 'named.pem'), identity.cert);
  const pools = Object.entries({
    unknown: 'host = "http://backend.invalid"',
    plain: `host = "https://127.0.0.1:${Object(withoutTls.address()).port}"`,
    named: `host = "https://localhost:${named.port}"\ntls.cacertfile = "named.pem"`,
    expired: `host = "https://localhost:${expired.port}"`,
  }).map(([name, settings]) => `[outgoing_pools.http.${name}.connection]\n${settings}\n`);
  const { online } = await checkOnline(`${plainConfig({ componentPort: chat.server.port, backend: plain.origin })}\n${pools.join('')}`);
  const details = Object.fromEntries(online.flatMap(({ name, detail }) => (name.startsWith('pool') ? [[name.split(' ')[1], detail]] : [])));
  expect(details).toEqual({
    http_pool: 'connected',
    unknown: expect.stringMatching(/backend\.invalid.*: (the name does not exist|the DNS server of this machine)/),
    plain: expect.stringMatching(/: if the backend does not speak TLS, use http:\/\/ in connection\.host$/),
    named: expect.stringMatching(/: use a name of the certificate in connection\.host/),
    expired: expect.stringMatching(/: (renew the certificate|name the authority)/),
  });
  expect(plain.requests).toEqual([]);
});

/** An attachment that needs no chat server, and one handler. */
const listening = (backend: string, pool: string, handler: string) => `
[attach.mim]
type = "http"
listen = "127.0.0.1:0"
[outgoing_pools.http.http_pool]
${pool}
[outgoing_pools.http.http_pool.connection]
host = "${backend}"
[modules.mod_event_pusher.backend.http]
name = "push"
${handler}
`;

test('token endpoints and hosts of follow_up.allow are connected, without a request', async () => {
  await using backend = await startTarget();
  await using other = await startTarget();
  const closed = await freePort();
  const allow = [
    new URL(backend.origin).host,
    `127.0.0.1:${other.port}`,
    `127.0.0.1:${closed}`,
    'nowhere.invalid',
    '*.partner.example',
    '10.0.0.0/8',
  ];
  const oauth = `auth.oauth2 = { token_url = "http://127.0.0.1:${closed}/token", client_id = "id", client_secret = "secret" }`;
  const { code, online } = await checkOnline(listening(backend.origin, oauth, `follow_up = { allow = ${JSON.stringify(allow)} }`));
  const details = Object.fromEntries(online.slice(1).map(({ name, ok, detail }) => [name, `${ok} ${detail}`]));
  expect(details).toEqual({
    [`pool http_pool at ${backend.origin}`]: 'true connected',
    [`token endpoint of pool http_pool at http://127.0.0.1:${closed}`]: expect.stringMatching(
      /^false .*ECONNREFUSED.*correct auth\.oauth2\.token_url$/,
    ),
    [`follow_up.allow 127.0.0.1:${other.port}`]: 'true connected; TLS is not tried',
    [`follow_up.allow 127.0.0.1:${closed}`]: expect.stringMatching(/^false .*ECONNREFUSED.*correct follow_up\.allow$/),
    'follow_up.allow nowhere.invalid': expect.stringMatching(
      /^false .*: (the name does not exist: correct follow_up\.allow|the DNS server)/,
    ),
    'follow_up.allow *.partner.example': 'true a pattern: not tried',
    'follow_up.allow 10.0.0.0/8': 'true a pattern: not tried',
  });
  expect(code).toBe(1);
  expect([...backend.requests, ...other.requests]).toEqual([]);
});

describe.skipIf(!(await hasPostgres()))('with a PostgreSQL', () => {
  test('its version, and the rights of the role, are tried, and nothing is created', async () => {
    await using postgres = await startPostgres();
    await postgres.query('CREATE ROLE weak LOGIN');
    await using backend = await startTarget();
    const checkWith = async (url: string) => {
      const spool = `[spool]\nengine = "postgres"\nurl = "${url}"\n`;
      const { online } = await checkOnline(`${spool}${listening(backend.origin, '', '')}`);
      return online.at(-1);
    };
    const name = 'the spool in PostgreSQL';
    const address = `127.0.0.1:${postgres.port}/postgres`;
    const answers = [
      await checkWith(postgres.url()),
      await checkWith(postgres.url().replace('postgres@', 'weak@')),
      await checkWith(postgres.url('nowhere')),
      await checkWith(`postgres://postgres@127.0.0.1:${await freePort()}/postgres`),
    ];
    expect(answers).toEqual([
      { name, ok: true, detail: `${address} is reachable; the first start creates the schema event_pusher` },
      { name, ok: false, detail: `${address}: the role weak may not create the schema event_pusher: GRANT CREATE ON DATABASE … TO weak` },
      { name, ok: false, detail: 'database "nowhere" does not exist: create the database, or correct [spool] url' },
      { name, ok: false, detail: expect.stringMatching(/ECONNREFUSED.*correct \[spool\] url$/) },
    ]);
    expect(await postgres.query("SELECT 1 FROM pg_namespace WHERE nspname = 'event_pusher'")).toEqual([]);
  });

  test('an existing schema needs no more than rows to be read and written', async () => {
    const { tryDatabase } = await importBuilt<typeof import('../../src/spool/postgres/inspect.ts')>('src/spool/postgres/inspect.js');
    const { Connection } = await importBuilt<typeof import('../../src/spool/postgres/connection.ts')>('src/spool/postgres/connection.js');
    const { migrate } = await importBuilt<typeof import('../../src/spool/postgres/schema.ts')>('src/spool/postgres/schema.js');
    await using postgres = await startPostgres();
    const connection = new Connection(postgres.url());
    await connection.open();
    await connection.query('SET search_path TO event_pusher');
    await migrate(connection, 'event_pusher');
    await connection.query(
      'CREATE ROLE weak LOGIN; GRANT USAGE ON SCHEMA event_pusher TO weak; GRANT SELECT ON event_pusher.spool_version TO weak',
    );
    const weak = { url: new Secret(postgres.url().replace('postgres@', 'weak@')), schema: 'event_pusher' };
    await expect(tryDatabase(weak)).rejects.toThrow(/the role weak may not read and write .*deliveries.*: GRANT SELECT/);
    await connection.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA event_pusher TO weak');
    expect(await tryDatabase(weak)).toMatch(/is reachable, and holds a spool in the schema event_pusher$/);
    await connection.close();
  });
});

test('a certificate that is not trusted fails, and the text output says so', async () => {
  await using chat = await startScriptedChat();
  await using backend = await startTarget({ tls: makeSelfSigned(['DNS:localhost']) });
  const file = join(folder, 'event-pusher.toml');
  const config = plainConfig({ componentPort: chat.server.port, backend: `https://localhost:${backend.port}` });
  await writeFile(file, `[general]\nhosts = ["localhost"]\n[admin]\nlisten = "127.0.0.1:0"\n${config}`);
  const { code, stdout } = await runCli(['check', '--online', '--config', file]);
  expect(code).toBe(1);
  expect(stdout.slice(stdout.indexOf('Connections:')).replaceAll(/\s+/g, ' ')).toMatch(
    /Connections: - ok: attachment chat .* - FAILED: pool http_pool at https:\/\/localhost:\d+: .*self.signed.*: name the authority that signed it in connection\.tls\.cacertfile/,
  );
});

test('a listener whose port another program uses fails', async () => {
  await using backend = await startTarget();
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const { online } = await checkOnline(`
[attach.chat]
type = "http"
listen = "127.0.0.1:${port}"
[outgoing_pools.http.http_pool.connection]
host = "${backend.origin}"
[modules.mod_event_pusher.backend.http]
name = "push"
`);
  taken.close();
  expect(online[0]).toMatchObject({ ok: false, detail: expect.stringContaining('EADDRINUSE') });
});

test('a service that runs reports its attachments, and keeps its feed', async () => {
  await using chat = await startScriptedChat();
  await using backend = await startTarget();
  const listen = `127.0.0.1:${await freePort()}`;
  const config = plainConfig({ componentPort: chat.server.port, backend: backend.origin });
  await using pusher = await createPusher({ config, listen });
  await pusher.start();
  const handshakes = chat.server.received.filter(({ name }) => name === 'handshake').length;
  const { code, online } = await checkOnline(config, listen);
  expect(online[0]).toEqual({ name: 'attachment chat, host localhost, of the running service', ok: true, detail: 'attached' });
  expect(code).toBe(0);
  expect(chat.server.received.filter(({ name }) => name === 'handshake')).toHaveLength(handshakes);
});

describe.skipIf(!(await requirePackage('prosody')))('with the Debian package prosody', () => {
  test('the files of init attach the service to a Prosody', async () => {
    const backendPort = await freePort();
    const at = (port: number) => ['--server', 'prosody', '--host', 'localhost', '--service', `xmpp://127.0.0.1:${port}`];
    const file = join(folder, 'event-pusher.toml');
    await runCli(['init', ...at(1), '--backend', `http://127.0.0.1:${backendPort}/x`, '--config', file]);
    const snippet = await readFile(join(folder, 'event-pusher.prosody.cfg.lua'), 'utf8');
    const component = { domain: 'other.localhost', secret: 'other' };
    await using prosody = await startProsody({
      hosts: ['other.example'],
      component,
      ending: snippet.replaceAll('"localhost"', '"localhost"'),
    });
    await using backend = await startTarget({ port: backendPort });

    const config = (await readFile(file, 'utf8')).replace('127.0.0.1:1"', `127.0.0.1:${prosody.componentPort}"`).replace(':9464', ':0');
    await writeFile(file, config);
    const { code, stdout } = await runCli(['check', '--online', '--config', file]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/the server accepts the component\s+pusher\.localhost; its hosts and feed are not\s+tried/),
    });
    expect(backend.requests).toEqual([]);
  });
});
