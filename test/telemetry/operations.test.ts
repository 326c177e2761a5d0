import { expect, test } from 'vitest';
import { ServiceError } from '../../src/kit/errors.ts';
import { answered, attemptEnded, deliveryId, observe, packetId, quietReadings, sample, settled, subject } from './observed.ts';

test('counts attempts by pool, outcome and class of code', async () => {
  const { events, metrics } = observe();
  events.emit('attempt.ended', attemptEnded({ outcome: answered(204) }));
  events.emit('attempt.ended', attemptEnded({ outcome: answered(503), accepted: false }));
  events.emit('attempt.ended', attemptEnded({ outcome: { kind: 'timed-out', phase: 'call', durationMs: 5000 }, accepted: false }));
  const name = 'event_pusher_attempts_total';
  expect(await sample(metrics, `${name}{pool="http_pool",outcome="answered",code_class="2xx"}`)).toBe(1);
  expect(await sample(metrics, `${name}{pool="http_pool",outcome="answered",code_class="5xx"}`)).toBe(1);
  expect(await sample(metrics, `${name}{pool="http_pool",outcome="timed-out",code_class="none"}`)).toBe(1);
  expect(await sample(metrics, 'event_pusher_attempt_duration_seconds_count{pool="http_pool"}')).toBe(3);
});

test('measures the lag of a first attempt only, up to its start', async () => {
  const { events, metrics } = observe();
  events.emit('attempt.ended', attemptEnded({ ageMs: 520, outcome: answered(503, 20), accepted: false }));
  events.emit('attempt.ended', attemptEnded({ attempt: 2, ageMs: 9000 }));
  expect(await sample(metrics, 'event_pusher_first_attempt_lag_seconds_sum{pool="http_pool"}')).toBe(0.5);
  expect(await sample(metrics, 'event_pusher_first_attempt_lag_seconds_count{pool="http_pool"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_retries_total{pool="http_pool"}')).toBe(1);
});

test('a sum does not fall if the wall clock is set back', async () => {
  const { events, metrics } = observe();
  events.emit('delivery.settled', settled({ ageMs: 2000 }));
  events.emit('delivery.settled', settled({ ageMs: -3_600_000 }));
  expect(await sample(metrics, 'event_pusher_delivery_latency_seconds_sum{pool="http_pool"}')).toBe(2);
  expect(await sample(metrics, 'event_pusher_delivery_latency_seconds_count{pool="http_pool"}')).toBe(2);
});

test('counts deliveries by disposition, and dead letters by reason', async () => {
  const { events, metrics } = observe();
  const name = 'event_pusher_deliveries_total';
  expect(await sample(metrics, `${name}{pool="http_pool",handler="chat",disposition="dead"}`)).toBe(0);

  events.emit('delivery.settled', settled());
  events.emit('delivery.settled', settled({ disposition: 'retry', reason: 'status 503' }));
  events.emit('delivery.settled', settled({ disposition: 'dead', reason: 'attempts-exhausted' }));
  for (const disposition of ['delivered', 'retry', 'dead']) {
    expect(await sample(metrics, `${name}{pool="http_pool",handler="chat",disposition="${disposition}"}`), disposition).toBe(1);
  }
  expect(await sample(metrics, 'event_pusher_dead_letters_total{pool="http_pool",handler="chat",reason="attempts-exhausted"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_delivery_latency_seconds_count{pool="http_pool"}')).toBe(1);
});

test('shows consecutive failures by handler, from the first on', async () => {
  const { events, metrics } = observe();
  const name = 'event_pusher_consecutive_failures{pool="http_pool",handler="chat"}';
  expect(await sample(metrics, name)).toBe(0);
  events.emit('attempt.ended', attemptEnded({ accepted: false, reason: 'status 503' }));
  expect(await sample(metrics, name)).toBe(1);
  events.emit('attempt.ended', attemptEnded({ accepted: false, reason: 'status 503' }));
  expect(await sample(metrics, name)).toBe(2);
  events.emit('attempt.ended', attemptEnded());
  expect(await sample(metrics, name)).toBe(0);
});

test('counts ignored answers by handler and reason', async () => {
  const { events, metrics } = observe();
  events.emit('answer.ignored', { id: deliveryId, pool: 'http_pool', handler: 'chat', reason: 'declined' });
  expect(await sample(metrics, 'event_pusher_answers_ignored_total{handler="chat",reason="declined"}')).toBe(1);
});

test('counts a failed callback as a dead letter of its handler’s pool', async () => {
  const { events, metrics } = observe();
  const failed = { handler: 'chat', callback: 'prepareBody', packetId };
  events.emit('callback.failed', { ...failed, error: new Error('no') });
  events.emit('callback.failed', { ...failed, error: new ServiceError('CALLBACK_BLOCKED', 'skipped') });
  expect(await sample(metrics, 'event_pusher_callback_failures_total{handler="chat",callback="prepareBody"}')).toBe(2);
  expect(await sample(metrics, 'event_pusher_dead_letters_total{pool="http_pool",handler="chat",reason="callback-failed"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_dead_letters_total{pool="http_pool",handler="chat",reason="callback-blocked"}')).toBe(1);
});

test('measures callbacks by handler and name', async () => {
  const { events, metrics } = observe();
  events.emit('callback.ended', { handler: 'chat', callback: 'prepareBody', durationMs: 2 });
  expect(await sample(metrics, 'event_pusher_callback_duration_seconds_sum{handler="chat",callback="prepareBody"}')).toBe(0.002);
  expect(await sample(metrics, 'event_pusher_callback_failures_total{handler="chat",callback="prepareBody"}')).toBe(0);
});

test('counts and measures answers of the gate, each starting at 0', async () => {
  const { events, metrics } = observe();
  events.emit('gate.answered', { answer: 'refused', reason: '', durationMs: 2 });
  events.emit('gate.answered', { answer: 'rejected', reason: 'no token', durationMs: 4 });
  events.emit('gate.failed', { handler: 'chat', packetId, error: new Error('oh') });
  expect(await sample(metrics, 'event_pusher_gate_total{answer="refused"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_gate_total{answer="rejected"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_gate_total{answer="allowed"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_gate_duration_seconds_sum')).toBe(0.002);
  expect(await sample(metrics, 'event_pusher_callback_failures_total{handler="chat",callback="gate"}')).toBe(1);
});

test('counts the stanzas of a feed, packets and skipped ones', async () => {
  const { events, metrics } = observe();
  events.emit('packet.seen', { attachment: 'chat', host: 'localhost', direction: 'in', event: 'chat' });
  events.emit('packet.seen', { attachment: 'chat', host: 'evil.example', direction: 'out', event: 'status' });
  events.emit('packet.skipped', { attachment: 'chat', reason: 'forged' });
  expect(await sample(metrics, 'event_pusher_events_received_total{attachment="chat"}')).toBe(3);
  expect(await sample(metrics, 'event_pusher_packets_total{host="localhost",direction="in"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_packets_total{host="localhost",direction="out"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_packets_total{host="other",direction="out"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_packet_events_total{event="status"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_skipped_total{attachment="chat",reason="forged"}')).toBe(1);
});

test('the series of an attachment start at 0 when it first connects', async () => {
  const { events, metrics } = observe();
  events.emit('attachment.state', { attachment: 'chat', host: 'localhost', state: 'resuming', reason: '' });
  for (const name of ['stream_read_bytes_total', 'events_received_total', 'unprepared_jids_total']) {
    expect(await sample(metrics, `event_pusher_${name}{attachment="chat"}`), name).toBe(0);
  }
  expect(await sample(metrics, 'event_pusher_tap_missed_total{attachment="chat",host="localhost"}')).toBe(0);
});

test('counts packets lost in holes, lost queues and missing marks', async () => {
  const { events, metrics } = observe();
  events.emit('tap.hole', { attachment: 'chat', host: 'localhost', missing: 12 });
  events.emit('tap.hole', { attachment: 'chat', host: 'localhost', missing: undefined });
  events.emit('tap.mark-missing', { attachment: 'chat', host: 'localhost', items: 41 });
  expect(await sample(metrics, 'event_pusher_tap_missed_total{attachment="chat",host="localhost"}')).toBe(12);
  expect(await sample(metrics, 'event_pusher_tap_queues_lost_total{attachment="chat",host="localhost"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_tap_marks_missing_total{attachment="chat",host="localhost"}')).toBe(1);
});

test('shows the fullest queue of a host with several nodes', async () => {
  const { events, metrics } = observe();
  const queue = { attachment: 'chat', host: 'localhost', stream: 'chat/localhost/n1', items: 40, bytes: 9000, ratio: 0.9, leftOut: 3 };
  events.emit('tap.queue', { ...queue, ratio: 0.1 });
  events.emit('tap.queue', queue);
  events.emit('tap.queue', { ...queue, stream: 'chat/localhost/n2', items: 50, bytes: 8000, ratio: 0.8, leftOut: 7 });
  const labels = '{attachment="chat",host="localhost"}';
  expect(await sample(metrics, `event_pusher_tap_queue_items${labels}`)).toBe(40);
  expect(await sample(metrics, `event_pusher_tap_queue_bytes${labels}`)).toBe(9000);
  expect(await sample(metrics, `event_pusher_tap_queue_fill_ratio${labels}`)).toBe(0.9);
  expect(await sample(metrics, `event_pusher_tap_members_left_out${labels}`)).toBe(7);
});

test('counts bytes, unprepared JIDs, left lanes, commits and dead threads', async () => {
  const { events, metrics } = observe();
  events.emit('stream.read', { attachment: 'chat', bytes: 4096 });
  events.emit('jid.unprepared', { attachment: 'chat' });
  events.emit('delivery.accepted', subject);
  events.emit('delivery.left-lane', { id: settled().id, pool: 'http_pool', handler: 'chat' });
  events.emit('spool.committed', { durationMs: 2, commands: 30 });
  events.emit('pool.thread', { pool: 'http_pool', state: 'started', reason: '' });
  events.emit('pool.thread', { pool: 'http_pool', state: 'died', reason: 'out of memory' });
  expect(await sample(metrics, 'event_pusher_stream_read_bytes_total{attachment="chat"}')).toBe(4096);
  expect(await sample(metrics, 'event_pusher_unprepared_jids_total{attachment="chat"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_accepted_total{pool="http_pool"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_left_lane_total{pool="http_pool"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_spool_commit_duration_seconds_sum')).toBe(0.002);
  expect(await sample(metrics, 'event_pusher_spool_commands_total')).toBe(30);
  expect(await sample(metrics, 'event_pusher_pool_thread_deaths_total{pool="http_pool"}')).toBe(1);
});

test('reads gauges from their owners on each scrape', async () => {
  const now = 1_700_000_000_000;
  const { metrics, clock } = observe({
    pools: ['http_pool', 'idle_pool', 'constructor'],
    readings: {
      spoolStats: () => ({
        depths: [
          { pool: 'http_pool', waiting: 4, dead: 2 },
          { pool: 'http_pool', waiting: 3, dead: 0 },
        ],
        paused: ['idle_pool', 'http_pool/push'],
        bytes: 8192,
        writable: false,
        oldest: new Map([['http_pool', now - 1500]]),
        fullInMs: 90_500,
        loss: 'its log was deleted',
      }),
      inFlight: () => [{ pool: 'http_pool', value: 3, workers: 10 }],
      orphans: () => [{ pool: 'gone', handler: 'old', waiting: 5 }],
      attached: () => [{ attachment: 'chat', host: 'localhost', attached: true }],
      uncommittedBytes: () => 99,
    },
  });
  expect(await sample(metrics, 'event_pusher_spool_depth{pool="http_pool",state="waiting"}')).toBe(7);
  expect(await sample(metrics, 'event_pusher_spool_depth{pool="http_pool",state="dead"}')).toBe(2);
  expect(await sample(metrics, 'event_pusher_spool_depth{pool="idle_pool",state="waiting"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_spool_oldest_age_seconds{pool="http_pool"}')).toBe(1.5);
  expect(await sample(metrics, 'event_pusher_spool_oldest_age_seconds{pool="idle_pool"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_spool_oldest_age_seconds{pool="constructor"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_orphaned{pool="gone",handler="old"}')).toBe(5);
  expect(await sample(metrics, 'event_pusher_pool_paused{pool="http_pool"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_pool_paused{pool="idle_pool"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_handler_paused{pool="http_pool",handler="push"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_spool_bytes')).toBe(8192);
  expect(await sample(metrics, 'event_pusher_spool_writable')).toBe(0);
  expect(await sample(metrics, 'event_pusher_spool_time_to_full_seconds')).toBe(90.5);
  expect(await sample(metrics, 'event_pusher_spool_possible_loss')).toBe(1);
  expect(await sample(metrics, 'event_pusher_workers{pool="http_pool",state="busy"}')).toBe(3);
  expect(await sample(metrics, 'event_pusher_workers{pool="http_pool",state="idle"}')).toBe(7);
  expect(await sample(metrics, 'event_pusher_attached{attachment="chat",host="localhost"}')).toBe(1);
  expect(await sample(metrics, 'event_pusher_uncommitted_bytes')).toBe(99);
  clock.advance(1000);
  expect(await sample(metrics, 'event_pusher_spool_oldest_age_seconds{pool="http_pool"}')).toBe(2.5);
});

test('a spool that does not grow is never full', async () => {
  const { metrics } = observe();
  expect((await metrics.render()).text).toContain('\nevent_pusher_spool_time_to_full_seconds +Inf\n');
});

test('counts deletions without delivery by pool, handler and reason', async () => {
  const { events, metrics } = observe();
  const name = 'event_pusher_deleted_total';
  expect(await sample(metrics, `${name}{pool="http_pool",handler="chat",reason="age"}`)).toBe(0);
  events.emit('spool.deleted', { pool: 'http_pool', handler: 'chat', reason: 'count', count: 1000 });
  events.emit('spool.deleted', { pool: 'gone', handler: 'old', reason: 'orphan-purge', count: 7 });
  expect(await sample(metrics, `${name}{pool="http_pool",handler="chat",reason="count"}`)).toBe(1000);
  expect(await sample(metrics, `${name}{pool="gone",handler="old",reason="orphan-purge"}`)).toBe(7);
});

test('counts deliveries beyond a full backlog by pool, handler and policy', async () => {
  const { events, metrics } = observe();
  events.emit('backlog.overflow', { pool: 'http_pool', handler: 'chat', policy: 'dead-letter-oldest', count: 3 });
  const labels = 'pool="http_pool",handler="chat",policy="dead-letter-oldest"';
  expect(await sample(metrics, `event_pusher_overflow_total{${labels}}`)).toBe(3);
});

test('a series ends when its owner no longer reports it', async () => {
  let attached = [{ attachment: 'chat', host: 'localhost', attached: true }];
  const { metrics } = observe({ readings: { ...quietReadings, attached: () => attached } });
  expect(await sample(metrics, 'event_pusher_attached{attachment="chat",host="localhost"}')).toBe(1);
  attached = [];
  expect(await sample(metrics, 'event_pusher_attached{attachment="chat",host="localhost"}')).toBeUndefined();
});

test('reports the version of the build', async () => {
  expect(await sample(observe().metrics, `event_pusher_build_info{version="1.2.3",node="${process.version}"}`)).toBe(1);
});
