/** Prometheus of Debian scrapes the service with the packaged prometheus.yml. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AdminServer } from '../../src/admin/server.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { Health } from '../../src/telemetry/health.ts';
import { ask } from '../admin/ask.ts';
import { createApiRig } from '../support/admin-rig.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { promtool, startPrometheus } from '../support/prometheus.ts';
import { answered, attemptEnded, deliveryId, observe, packetId, quietReadings, settled, subject } from '../telemetry/observed.ts';

const configFile = fileURLToPath(new URL('../../prometheus.yml', import.meta.url));

describe.skipIf(!(await requirePackage('prometheus', '/usr/bin/promtool')))('with the Debian package prometheus', () => {
  test('promtool finds prometheus.yml well-formed', () => {
    const { status, said } = promtool(['check', 'config', configFile]);
    expect(said).toContain('SUCCESS');
    expect(status).toBe(0);
  });

  test('promtool accepts the metrics, before the first event and after one of each', async () => {
    const { events, port } = await startAdmin();
    const before = await ask(port, { path: '/metrics' });
    expect(promtool(['check', 'metrics'], before.body)).toEqual({ status: 0, said: '' });

    emitOneOfEach(events);
    const after = await ask(port, { path: '/metrics' });
    expect(after.body.length).toBeGreaterThan(before.body.length);
    expect(promtool(['check', 'metrics'], after.body)).toEqual({ status: 0, said: '' });
  });

  test('Prometheus scrapes with prometheus.yml unchanged, and answers queries', async () => {
    const { events, port } = await startAdmin();
    for (let sent = 0; sent < 3; sent += 1) events.emit('attempt.ended', attemptEnded());
    events.emit('attempt.ended', attemptEnded({ accepted: false, outcome: answered(503) }));

    const shipped = await readFile(configFile, 'utf8');
    expect(shipped.match(/127\.0\.0\.1:9464/g)).toHaveLength(1);
    await using prometheus = await startPrometheus(shipped.replace('127.0.0.1:9464', `127.0.0.1:${port}`).replace('15s', '1s'));
    await eventually(async () => expect(await prometheus.query('up{job="event-pusher"}')).toMatchObject([{ value: 1 }]));

    const common = { job: 'event-pusher', instance: `127.0.0.1:${port}` };
    expect(await prometheus.query('mod_event_pusher_http_sent_total')).toEqual([
      { labels: { __name__: 'mod_event_pusher_http_sent_total', host: 'example.org', ...common }, value: 0 },
      { labels: { __name__: 'mod_event_pusher_http_sent_total', host: 'localhost', ...common }, value: 3 },
    ]);
    expect(await prometheus.query('mod_event_pusher_http_failed_one{host="localhost"}')).toMatchObject([{ value: 1 }]);
    expect(await prometheus.query('mod_event_pusher_http_response_time_seconds_count{host="localhost"}')).toMatchObject([{ value: 3 }]);
    const quantile = await prometheus.query(
      'histogram_quantile(0.5, mod_event_pusher_http_response_time_seconds_bucket{host="localhost"})',
    );
    expect(quantile).toMatchObject([{ value: expect.closeTo(0.0175) }]);
    expect(await prometheus.query('event_pusher_attempts_total{code_class="5xx"}')).toMatchObject([{ value: 1 }]);
  });
});

async function startAdmin() {
  const readings = {
    ...quietReadings,
    inFlight: () => [{ pool: 'http_pool', value: 1, workers: 10 }],
    attached: () => [{ attachment: 'chat', host: 'localhost', attached: true }],
  };
  const { events, metrics } = observe({ readings });
  const health = new Health({ events, attachments: [] });
  const config = { admin: { host: '127.0.0.1', port: 0, token: undefined, maxConnections: 100 }, metrics: { token: undefined } };
  const { dependencies: api } = await createApiRig();
  const admin = new AdminServer({ config, metrics, health, api, clock: systemClock, timers: systemTimers });
  await admin.start();
  onTestFinished(() => admin.stop());
  return { events, port: admin.address.port };
}

function emitOneOfEach(events: ReturnType<typeof observe>['events']): void {
  const source = { attachment: 'chat', host: 'localhost' };
  const callback = { handler: 'chat', callback: 'prepareBody' };
  events.emit('attachment.state', { ...source, state: 'attached', reason: '' });
  events.emit('stream.read', { attachment: 'chat', bytes: 400 });
  events.emit('packet.seen', { ...source, direction: 'in', event: 'chat' });
  events.emit('packet.skipped', { attachment: 'chat', reason: 'duplicate' });
  events.emit('jid.unprepared', { attachment: 'chat' });
  events.emit('connection.refused', { listener: 'chat', reason: 'max-connections', count: 3 });
  events.emit('tap.hole', { ...source, missing: 1 });
  events.emit('callback.ended', { ...callback, durationMs: 1 });
  events.emit('callback.failed', { ...callback, packetId, error: new Error('no') });
  events.emit('delivery.accepted', subject);
  events.emit('attempt.ended', attemptEnded());
  events.emit('delivery.left-lane', { id: deliveryId, pool: 'http_pool', handler: 'chat' });
  for (const disposition of ['dead', 'delivered', 'retry'] as const) events.emit('delivery.settled', settled({ disposition }));
  events.emit('pool.thread', { pool: 'http_pool', state: 'died', reason: 'exit 1' });
  events.emit('spool.committed', { durationMs: 1, commands: 2 });
}
