import { expect, test } from 'vitest';
import type { ReloadResult } from '../../src/telemetry/metrics.ts';
import { observe, packetId, quietReadings, sample, subject } from './observed.ts';

const successful = 'event_pusher_config_last_reload_successful';
const succeededAt = 'event_pusher_config_last_reload_success_timestamp_seconds';
const total = (result: ReloadResult) => `event_pusher_config_reloads_total{result="${result}"}`;

test('a new service counts its configuration as the last successful reload', async () => {
  const { metrics, clock } = observe();
  expect(await sample(metrics, successful)).toBe(1);
  expect(await sample(metrics, succeededAt)).toBe(clock.now() / 1000);
  expect(await sample(metrics, total('applied'))).toBe(0);
});

test('reports a refused configuration until another is applied', async () => {
  const { events, metrics, clock } = observe();
  const startedAt = clock.now();
  clock.advance(60_000);
  events.emit('config.reload', { result: 'refused', reason: 'it has mistakes' });
  expect(await sample(metrics, successful)).toBe(0);
  expect(await sample(metrics, succeededAt)).toBe(startedAt / 1000);

  clock.advance(60_000);
  events.emit('config.reload', { result: 'applied', reason: 'pools added b' });
  expect(await sample(metrics, successful)).toBe(1);
  expect(await sample(metrics, succeededAt)).toBe(startedAt / 1000 + 120);
  expect([await sample(metrics, total('applied')), await sample(metrics, total('refused'))]).toEqual([1, 1]);
});

test('includes reloads before the start of the service', async () => {
  const { events, metrics } = observe({ reloads: { applied: 3, refused: 2, restart: 1 } });
  events.emit('config.reload', { result: 'applied', reason: '' });
  const totals = await Promise.all((['applied', 'refused', 'restart'] as const).map((result) => sample(metrics, total(result))));
  expect(totals).toEqual([4, 2, 1]);
});

test('series of new pools and handlers start at 0 with the reload, and others keep their values', async () => {
  const depths = [{ pool: 'http_pool', waiting: 5, dead: 0 }];
  const { events, metrics } = observe({ readings: { ...quietReadings, spoolStats: () => ({ ...quietReadings.spoolStats(), depths }) } });
  events.emit('delivery.accepted', subject);
  expect(await sample(metrics, 'event_pusher_accepted_total{pool="other"}')).toBeUndefined();

  metrics.add({ pools: ['other'], handlers: [{ name: 'new', pool: 'other' }] });
  for (const series of [
    'accepted_total{pool="other"}',
    'spool_depth{pool="other",state="waiting"}',
    'spool_oldest_age_seconds{pool="other"}',
  ])
    expect(await sample(metrics, `event_pusher_${series}`), series).toBe(0);
  expect(await sample(metrics, 'event_pusher_dead_letters_total{pool="other",handler="new",reason="callback-failed"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_accepted_total{pool="http_pool"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_spool_depth{pool="http_pool",state="waiting"}')).toBe(5);
});

test('counts dead letters of a moved handler for its new pool', async () => {
  const { events, metrics } = observe();
  metrics.add({ pools: ['other'], handlers: [{ name: 'chat', pool: 'other' }] });
  events.emit('callback.failed', { handler: 'chat', callback: 'prepareBody', packetId, error: new Error('on purpose') });
  expect(await sample(metrics, 'event_pusher_dead_letters_total{pool="other",handler="chat",reason="callback-failed"}')).toBe(1);
});
