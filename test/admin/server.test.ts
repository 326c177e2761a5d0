import { createServer } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { type AdminOptions, AdminServer } from '../../src/admin/server.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { Health } from '../../src/telemetry/health.ts';
import { createApiRig } from '../support/admin-rig.ts';
import { observe } from '../telemetry/observed.ts';
import { ask } from './ask.ts';

interface Settings {
  readonly host?: string;
  readonly port?: number;
  readonly adminToken?: string;
  readonly metricsToken?: string;
  readonly maxConnections?: number;
  readonly metrics?: AdminOptions['metrics'];
}

async function createTestAdmin({
  host = '127.0.0.1',
  port = 0,
  adminToken,
  metricsToken,
  maxConnections = 100,
  metrics = observe().metrics,
}: Settings = {}) {
  const { dependencies: api } = await createApiRig();
  const events = createEventBus();
  const health = new Health({ events, attachments: [{ name: 'chat', hosts: ['localhost'] }] });
  const secret = (token: string | undefined) => (token === undefined ? undefined : new Secret(token));
  const config = { admin: { host, port, token: secret(adminToken), maxConnections }, metrics: { token: secret(metricsToken) } };
  return { admin: new AdminServer({ config, metrics, health, api, clock: systemClock, timers: systemTimers }), events, health };
}

async function startAdmin(settings: Settings = {}) {
  const started = await createTestAdmin(settings);
  await started.admin.start();
  onTestFinished(() => started.admin.stop());
  const { port } = started.admin.address;
  return { ...started, port, get: (path: string, headers = {}) => ask(port, { path, headers }) };
}

test('serves the metrics in the format of Prometheus', async () => {
  const { get } = await startAdmin();
  const { status, headers, body } = await get('/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(body).toContain('mod_event_pusher_http_sent_total{host="localhost"} 0\n');
});

test('is alive also if it is not ready', async () => {
  const { get } = await startAdmin();
  const { status, body } = await get('/healthz');
  expect([status, JSON.parse(body)]).toEqual([200, { status: 'ok' }]);
});

test('is ready if all checks pass, and otherwise names those that fail', async () => {
  const { get, events, health } = await startAdmin();
  const before = await get('/readyz');
  expect(before.status).toBe(503);
  expect(JSON.parse(before.body)).toEqual({
    status: 'not ready',
    checks: [
      { name: 'attachment chat, host localhost', ready: false, reason: 'connecting' },
      { name: 'spool', ready: true, reason: '' },
      { name: 'draining', ready: true, reason: '' },
    ],
  });

  for (const host of ['', 'localhost']) events.emit('attachment.state', { attachment: 'chat', host, state: 'attached', reason: '' });
  const attached = await get('/readyz');
  expect([attached.status, JSON.parse(attached.body).status]).toEqual([200, 'ready']);

  health.drain();
  expect((await get('/readyz')).status).toBe(503);
});

test('its front page lists its addresses', async () => {
  const { get } = await startAdmin();
  const { status, body } = await get('/');
  expect(status).toBe(200);
  expect(Object.keys(JSON.parse(body).addresses)).toEqual(['/', '/api/v1/openapi.json', '/healthz', '/metrics', '/readyz']);
});

test('refuses unknown addresses and methods with a code and a message', async () => {
  const { get, port } = await startAdmin();
  const missing = await get('/nothing?token=x');
  expect([missing.status, JSON.parse(missing.body)]).toEqual([404, { code: 'NOT_FOUND', message: 'there is nothing at /nothing' }]);

  const posted = await ask(port, { path: '/metrics', method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' });
  expect([posted.status, JSON.parse(posted.body).code, posted.headers.allow]).toEqual([405, 'METHOD_NOT_ALLOWED', 'GET, HEAD']);

  const undecodable = await get('/%zz');
  expect([undecodable.status, JSON.parse(undecodable.body).code]).toEqual([400, 'BAD_REQUEST']);
});

test('refuses bytes that are not HTTP with a code and a message, and closes the connection', async () => {
  const { port } = await startAdmin();
  const socket = connect(port, '127.0.0.1');
  socket.write('<stream:stream>\r\n\r\n');
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).code).toBe('BAD_REQUEST');
});

test('metrics that cannot be rendered are an error with a message, and the service continues', async () => {
  const { get } = await startAdmin({ metrics: { render: () => Promise.reject(new Error('spool is closed')), add: () => undefined } });
  const { status, body } = await get('/metrics');
  expect([status, JSON.parse(body)]).toEqual([500, { code: 'INTERNAL', message: 'spool is closed' }]);
  expect((await get('/healthz')).status).toBe(200);
});

test('the metrics token is required only for the metrics', async () => {
  const { get } = await startAdmin({ metricsToken: 'sesame' });
  const bare = await get('/metrics');
  expect([bare.status, JSON.parse(bare.body).code, bare.headers['www-authenticate']]).toEqual([401, 'UNAUTHORIZED', 'Bearer']);
  for (const wrong of ['Bearer sesam', 'Bearer sesame2', 'Basic sesame', 'sesame', 'Bearer ']) {
    expect((await get('/metrics', { authorization: wrong })).status, wrong).toBe(401);
  }
  expect((await get('/metrics', { authorization: 'Bearer sesame' })).status).toBe(200);
  expect((await get('/readyz')).status).toBe(503);
  expect((await get('/healthz')).status).toBe(200);
});

test('off loopback the front page needs the admin token, and health and metrics are open', async () => {
  const { get } = await startAdmin({ host: '0.0.0.0', adminToken: 'sesame' });
  expect((await get('/')).status).toBe(401);
  expect((await get('/', { authorization: 'Bearer sesame' })).status).toBe(200);
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/metrics')).status).toBe(200);
});

test('an unknown Host is refused, against DNS rebinding', async () => {
  const { get } = await startAdmin();
  for (const path of ['/metrics', '/healthz', '/', '/nothing', '/metrics/']) {
    const { status, body } = await get(path, { host: 'rebound.example:9464' });
    expect([status, JSON.parse(body).code], path).toEqual([421, 'UNKNOWN_HOST']);
  }
});

test('a request with a token is accepted under any Host', async () => {
  const { get } = await startAdmin({ metricsToken: 'sesame' });
  expect((await get('/metrics', { host: 'pusher.monitoring.svc', authorization: 'Bearer sesame' })).status).toBe(200);
  expect((await get('/metrics', { host: 'pusher.monitoring.svc', authorization: 'Bearer other' })).status).toBe(421);
});

test('a port in use is reported with the setting to change', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  const { admin } = await createTestAdmin({ port });
  await expect(admin.start()).rejects.toMatchObject({
    code: 'ADMIN_LISTEN_FAILED',
    message: `cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or change [admin] listen`,
  });
});

test('an address of another machine is reported with the setting to change', async () => {
  const { admin } = await createTestAdmin({ host: '192.0.2.1' });
  await expect(admin.start()).rejects.toMatchObject({ code: 'ADMIN_LISTEN_FAILED', message: expect.stringContaining('[admin] listen') });
});

test('stops at once, with open connections and an incomplete request', async () => {
  const { admin } = await createTestAdmin();
  await admin.start();
  const { port } = admin.address;
  const idle = connect(port, '127.0.0.1');
  const half = connect(port, '127.0.0.1');
  await Promise.all([idle, half].map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  await new Promise((resolve) => half.write('GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n', resolve));
  const closed = Promise.all([idle, half].map((socket) => new Promise((resolve) => socket.on('error', resolve).once('close', resolve))));
  for (const socket of [idle, half]) socket.resume();
  await admin.stop();
  await closed;
  await expect(ask(port, { path: '/healthz' })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('knows its address once it has started', async () => {
  const { admin } = await createTestAdmin();
  const before: AdminServer['address'] = admin.address;
  expect(before).toEqual({ host: '127.0.0.1', port: 0 });
  await admin.start();
  onTestFinished(() => admin.stop());
  expect(admin.address.port).toBeGreaterThan(0);
});
