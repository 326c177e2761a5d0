import { expect, test } from 'vitest';
import { answered, attemptEnded, observe, sample } from './observed.ts';

test('the series of every local host start at zero', async () => {
  const { metrics } = observe();
  for (const host of ['localhost', 'example.org']) {
    for (const name of ['sent_total', 'sent_one', 'failed_total', 'failed_one', 'response_time_seconds_count']) {
      expect(await sample(metrics, `mod_event_pusher_http_${name}{host="${host}"}`), name).toBe(0);
    }
  }
});

test('counts an accepted attempt as sent for the host of the packet', async () => {
  const { events, metrics } = observe();
  events.emit('attempt.ended', attemptEnded({ host: 'example.org' }));
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="example.org"}')).toBe(1);
  expect(await sample(metrics, 'mod_event_pusher_http_sent_one{host="example.org"}')).toBe(1);
  expect(await sample(metrics, 'mod_event_pusher_http_failed_total{host="example.org"}')).toBe(0);
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="localhost"}')).toBe(0);
});

test.each([
  ['a refused answer', answered(404)],
  ['a deferred answer', answered(503)],
  ['a deadline that passed', { kind: 'timed-out', phase: 'headers', durationMs: 2000 } as const],
  ['a backend out of reach', { kind: 'unreachable', code: 'ECONNREFUSED', message: '', durationMs: 1 } as const],
  ['a broken connection', { kind: 'broken', code: 'ECONNRESET', message: '', durationMs: 1 } as const],
])('counts %s as failed, without its duration', async (_, outcome) => {
  const { events, metrics } = observe();
  events.emit('attempt.ended', attemptEnded({ accepted: false, outcome }));
  expect(await sample(metrics, 'mod_event_pusher_http_failed_total{host="localhost"}')).toBe(1);
  expect(await sample(metrics, 'mod_event_pusher_http_failed_one{host="localhost"}')).toBe(1);
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="localhost"}')).toBe(0);
  expect(await sample(metrics, 'mod_event_pusher_http_response_time_seconds_count{host="localhost"}')).toBe(0);
});

test('counts by verdict rather than status: an accepted 404 is sent', async () => {
  const { events, metrics } = observe();
  events.emit('attempt.ended', attemptEnded({ outcome: answered(404) }));
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="localhost"}')).toBe(1);
});

test('measures response times in seconds, in cumulative buckets', async () => {
  const { events, metrics } = observe();
  for (const durationMs of [3, 250, 251]) events.emit('attempt.ended', attemptEnded({ outcome: answered(200, durationMs) }));
  const name = 'mod_event_pusher_http_response_time_seconds';
  expect(await sample(metrics, `${name}_bucket{host="localhost",le="0.0025"}`)).toBe(0);
  expect(await sample(metrics, `${name}_bucket{host="localhost",le="0.005"}`)).toBe(1);
  expect(await sample(metrics, `${name}_bucket{host="localhost",le="0.25"}`)).toBe(2);
  expect(await sample(metrics, `${name}_bucket{host="localhost",le="+Inf"}`)).toBe(3);
  expect(await sample(metrics, `${name}_count{host="localhost"}`)).toBe(3);
  expect(await sample(metrics, `${name}_sum{host="localhost"}`)).toBeCloseTo(0.504);
});

test('resets the sums of the last minute after a minute and keeps the totals', async () => {
  const { events, clock, metrics } = observe();
  events.emit('attempt.ended', attemptEnded());
  events.emit('attempt.ended', attemptEnded({ accepted: false }));
  clock.advance(60_000);
  expect(await sample(metrics, 'mod_event_pusher_http_sent_one{host="localhost"}')).toBe(0);
  expect(await sample(metrics, 'mod_event_pusher_http_failed_one{host="localhost"}')).toBe(0);
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="localhost"}')).toBe(1);
  expect(await sample(metrics, 'mod_event_pusher_http_failed_total{host="localhost"}')).toBe(1);
});

test('a foreign host never becomes a label', async () => {
  const { events, metrics } = observe();
  for (const host of ['evil.example', 'worse.example']) events.emit('attempt.ended', attemptEnded({ host }));
  expect(await sample(metrics, 'mod_event_pusher_http_sent_total{host="other"}')).toBe(2);
  expect((await metrics.render()).text).not.toContain('evil');
});

test("adds MongooseIM's own names on request, with its units and buckets", async () => {
  expect((await observe().metrics.render()).text).not.toContain('host_type');

  const { events, metrics } = observe({ mongooseim: true });
  const name = 'mod_event_pusher_http_sent';
  expect(await sample(metrics, `${name}_count{host_type="example.org"}`)).toBe(0);
  expect(await sample(metrics, `${name}_failure_count{host_type="example.org"}`)).toBe(0);
  expect(await sample(metrics, `${name}_response_time_count{host_type="example.org"}`)).toBeUndefined();

  events.emit('attempt.ended', attemptEnded({ outcome: answered(200, 1.5) }));
  events.emit('attempt.ended', attemptEnded({ accepted: false }));
  expect(await sample(metrics, `${name}_count{host_type="localhost"}`)).toBe(1);
  expect(await sample(metrics, `${name}_failure_count{host_type="localhost"}`)).toBe(1);
  expect(await sample(metrics, `${name}_response_time_bucket{host_type="localhost",le="1024"}`)).toBe(0);
  expect(await sample(metrics, `${name}_response_time_bucket{host_type="localhost",le="2048"}`)).toBe(1);
  expect(await sample(metrics, `${name}_response_time_bucket{host_type="localhost",le="1073741824"}`)).toBe(1);
  expect(await sample(metrics, `${name}_response_time_sum{host_type="localhost"}`)).toBe(1500);
});
