import { createHostLabel } from './count-pushes.ts';
import type { EventBus, Events, GateAnswered } from './events.ts';
import { callbackBuckets, commitBuckets, type MetricRegistry } from './registry.ts';

/** Counts events between a chat server and the spool. Series of hosts and attachments start at 0 when these are known. */
export function countIntake(registry: MetricRegistry, events: EventBus, hosts: readonly string[]): void {
  countStream(registry, events);
  countPackets(registry, events, hosts);
  countHoles(registry, events);
  countConnections(registry, events);
  readTapQueues(registry, events);
  timeCallbacks(registry, events);
  timeCommits(registry, events);
}

function countStream(registry: MetricRegistry, events: EventBus): void {
  const read = registry.counter('event_pusher_stream_read_bytes_total');
  const unprepared = registry.counter('event_pusher_unprepared_jids_total');
  events.on('attachment.state', ({ attachment }) => {
    read.at(attachment);
    unprepared.at(attachment);
  });
  events.on('stream.read', ({ attachment, bytes }) => read.at(attachment).add(bytes));
  events.on('jid.unprepared', ({ attachment }) => unprepared.at(attachment).add());
}

function countPackets(registry: MetricRegistry, events: EventBus, hosts: readonly string[]): void {
  const hostLabel = createHostLabel(hosts);
  const received = registry.counter('event_pusher_events_received_total');
  const packets = registry.counter('event_pusher_packets_total');
  const happened = registry.counter('event_pusher_packet_events_total');
  const skipped = registry.counter('event_pusher_skipped_total');
  for (const host of hosts) for (const direction of ['in', 'out']) packets.at(host, direction);

  events.on('attachment.state', ({ attachment }) => received.at(attachment));
  events.on('packet.seen', ({ attachment, host, direction, event }) => {
    received.at(attachment).add();
    packets.at(hostLabel(host), direction).add();
    happened.at(event).add();
  });
  events.on('packet.skipped', ({ attachment, reason }) => {
    received.at(attachment).add();
    skipped.at(attachment, reason).add();
  });
}

function countHoles(registry: MetricRegistry, events: EventBus): void {
  const missed = registry.counter('event_pusher_tap_missed_total');
  const lost = registry.counter('event_pusher_tap_queues_lost_total');
  const unmarked = registry.counter('event_pusher_tap_marks_missing_total');
  const gaps = registry.counter('event_pusher_archive_gaps_total');
  events.on('attachment.state', ({ attachment, host }) => {
    if (host === '') return;
    missed.at(attachment, host);
    lost.at(attachment, host);
    unmarked.at(attachment, host);
    gaps.at(attachment, host);
  });
  events.on('archive.gap', ({ attachment, host }) => gaps.at(attachment, host).add());
  events.on('tap.mark-missing', ({ attachment, host }) => unmarked.at(attachment, host).add());
  events.on('tap.hole', ({ attachment, host, missing }) => {
    if (missing === undefined) lost.at(attachment, host).add();
    else missed.at(attachment, host).add(missing);
  });
}

/** If a host has queues on several nodes, the fullest one is shown, because it drops items first. */
function readTapQueues(registry: MetricRegistry, events: EventBus): void {
  const queues = new Map<string, Events['tap.queue']>();
  events.on('tap.queue', (queue) => queues.set(queue.stream, queue));

  function gauge(
    name: 'event_pusher_tap_queue_bytes' | 'event_pusher_tap_queue_fill_ratio' | 'event_pusher_tap_queue_items',
    read: (queue: Events['tap.queue']) => number,
  ) {
    registry.gauge(name, () =>
      [...queues.values()].sort((one, other) => one.ratio - other.ratio).map((queue) => [[queue.attachment, queue.host], read(queue)]),
    );
  }
  gauge('event_pusher_tap_queue_items', ({ items }) => items);
  gauge('event_pusher_tap_queue_bytes', ({ bytes }) => bytes);
  gauge('event_pusher_tap_queue_fill_ratio', ({ ratio }) => ratio);
  registry.gauge('event_pusher_tap_members_left_out', () =>
    [...queues.values()]
      .sort((one, other) => one.leftOut - other.leftOut)
      .map(({ attachment, host, leftOut }) => [[attachment, host], leftOut]),
  );
}

function countConnections(registry: MetricRegistry, events: EventBus): void {
  const refused = registry.counter('event_pusher_connections_refused_total');
  events.on('connection.refused', ({ listener, reason, count }) => refused.at(listener, reason).add(count));
}

function timeCallbacks(registry: MetricRegistry, events: EventBus): void {
  const duration = registry.histogram('event_pusher_callback_duration_seconds', callbackBuckets);
  const failures = registry.counter('event_pusher_callback_failures_total');
  events.on('callback.ended', ({ handler, callback, durationMs }) => {
    duration.at(handler, callback).observe(durationMs / 1000);
    failures.at(handler, callback);
  });
  events.on('callback.failed', ({ handler, callback }) => failures.at(handler, callback).add());
  events.on('gate.failed', ({ handler }) => failures.at(handler, 'gate').add());
  events.on('exit.failed', ({ attachment, descriptor, by }) => failures.at(`${attachment}/${descriptor}`, by).add());
}

function timeCommits(registry: MetricRegistry, events: EventBus): void {
  const duration = registry.histogram('event_pusher_spool_commit_duration_seconds', commitBuckets).at();
  const commands = registry.counter('event_pusher_spool_commands_total').at();
  events.on('spool.committed', (commit) => {
    duration.observe(commit.durationMs / 1000);
    commands.add(commit.commands);
  });
}

const answers: readonly GateAnswered[] = ['allowed', 'changed', 'refused', 'failed', 'rejected'];

/** Counts the answers of the gate and measures the senders' wait. Series of all answers start at 0. */
export function countGate(registry: MetricRegistry, events: EventBus): void {
  const answered = registry.counter('event_pusher_gate_total');
  const duration = registry.histogram('event_pusher_gate_duration_seconds', callbackBuckets).at();
  for (const answer of answers) answered.at(answer);
  events.on('gate.answered', ({ answer, durationMs }) => {
    answered.at(answer).add();
    if (answer !== 'rejected') duration.observe(durationMs / 1000);
  });
}
