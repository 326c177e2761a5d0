/** Type, labels and meaning of a metric: the contract on which dashboards and alerts are built. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every metric of the service, in the order of a packet's life. `docs/reference/metrics.md` shows the same table; a test compares the two. */
export const metricTable = {
  mod_event_pusher_http_sent_total: { type: 'counter', labels: ['host'], help: 'Attempts accepted by the backend.' },
  mod_event_pusher_http_sent_one: { type: 'gauge', labels: ['host'], help: 'Attempts accepted by the backend in the last 60 seconds.' },
  mod_event_pusher_http_failed_total: { type: 'counter', labels: ['host'], help: 'Attempts not accepted by the backend.' },
  mod_event_pusher_http_failed_one: {
    type: 'gauge',
    labels: ['host'],
    help: 'Attempts not accepted by the backend in the last 60 seconds.',
  },
  mod_event_pusher_http_response_time_seconds: {
    type: 'histogram',
    labels: ['host'],
    help: 'Duration of accepted attempts; failed ones are excluded.',
  },

  event_pusher_attached: {
    type: 'gauge',
    labels: ['attachment', 'host'],
    help: '1 while packets of this host can reach the service from every node, otherwise 0.',
  },
  event_pusher_stream_read_bytes_total: { type: 'counter', labels: ['attachment'], help: 'Bytes read from the chat server.' },
  event_pusher_events_received_total: {
    type: 'counter',
    labels: ['attachment'],
    help: 'Stanzas received from the feed, including skipped ones.',
  },
  event_pusher_packets_total: {
    type: 'counter',
    labels: ['host', 'direction'],
    help: 'Stanzas that became packets and were passed to the handlers.',
  },
  event_pusher_packet_events_total: {
    type: 'counter',
    labels: ['event'],
    help: 'The same packets by event: chat, presence, status, unack, and so on.',
  },
  event_pusher_skipped_total: {
    type: 'counter',
    labels: ['attachment', 'reason'],
    help: 'Stanzas of the feed that did not become packets.',
  },
  event_pusher_unprepared_jids_total: {
    type: 'counter',
    labels: ['attachment'],
    help: 'JIDs that could not be prepared and were passed on unchanged.',
  },
  event_pusher_tap_missed_total: {
    type: 'counter',
    labels: ['attachment', 'host'],
    help: 'Packets lost by the chat server because its queue was full or was lost in a restart.',
  },
  event_pusher_tap_queues_lost_total: {
    type: 'counter',
    labels: ['attachment', 'host'],
    help: 'Times the chat server lost a queue of unknown size, as after a crash.',
  },
  event_pusher_tap_marks_missing_total: { type: 'counter', labels: ['attachment', 'host'], help: 'Times the spool had no mark for a tap.' },
  event_pusher_tap_queue_items: {
    type: 'gauge',
    labels: ['attachment', 'host'],
    help: 'Unacknowledged items in the tap queue of the chat server, as last reported; the fullest of several nodes.',
  },
  event_pusher_tap_queue_bytes: { type: 'gauge', labels: ['attachment', 'host'], help: 'Size of these items in the tap queue.' },
  event_pusher_tap_queue_fill_ratio: {
    type: 'gauge',
    labels: ['attachment', 'host'],
    help: 'Used fraction of that queue; at 1 it drops the oldest unsent items.',
  },
  event_pusher_tap_members_left_out: {
    type: 'gauge',
    labels: ['attachment', 'host'],
    help: 'Copies for absent members of rooms that the tap has not made since it was loaded, because a room has more members than its limit.',
  },
  event_pusher_archive_gaps_total: {
    type: 'counter',
    labels: ['attachment', 'host'],
    help: 'Times an archive no longer knew the last message that was read from it.',
  },

  event_pusher_callback_duration_seconds: {
    type: 'histogram',
    labels: ['handler', 'callback'],
    help: 'Duration of callbacks on accept.',
  },
  event_pusher_callback_failures_total: {
    type: 'counter',
    labels: ['handler', 'callback'],
    help: 'Failed callbacks on accept. Each left a dead letter, except those of the gate, exits and program units.',
  },
  event_pusher_gate_total: {
    type: 'counter',
    labels: ['answer'],
    help: 'Questions of chat servers about messages: allowed, changed, refused, failed (no decision), or rejected as invalid.',
  },
  event_pusher_gate_duration_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Time until held messages were answered by the gate; rejected questions are excluded.',
  },
  event_pusher_connections_refused_total: { type: 'counter', labels: ['listener', 'reason'], help: 'Connections refused by a listener.' },
  event_pusher_uncommitted_bytes: { type: 'gauge', labels: [], help: 'Bytes of stanzas that were received but are not yet on disk.' },
  event_pusher_asks_total: {
    type: 'counter',
    labels: ['handler', 'result'],
    help: 'Questions to business servers by result: allowed, withheld, or failed.',
  },
  event_pusher_ask_failures_total: {
    type: 'counter',
    labels: ['handler', 'reason'],
    help: 'Questions to business servers without a valid answer, by reason.',
  },
  event_pusher_accepted_total: { type: 'counter', labels: ['pool'], help: 'Deliveries written to the spool.' },
  event_pusher_deliveries_claimed_total: {
    type: 'counter',
    labels: ['pool', 'how'],
    help: 'Deliveries claimed by their pool: with their own commit (append), with the one that freed their lane (next), or after a wait on disk (spool).',
  },

  event_pusher_attempts_total: {
    type: 'counter',
    labels: ['pool', 'outcome', 'code_class'],
    help: 'Attempts by outcome on the wire; code_class is none without a response.',
  },
  event_pusher_consecutive_failures: {
    type: 'gauge',
    labels: ['pool', 'handler'],
    help: 'Attempts since the last accepted one.',
  },
  event_pusher_attempt_duration_seconds: { type: 'histogram', labels: ['pool'], help: 'Duration of all attempts, including failed ones.' },
  event_pusher_first_attempt_lag_seconds: {
    type: 'histogram',
    labels: ['pool'],
    help: 'Time from the acceptance of a delivery to its first attempt.',
  },
  event_pusher_delivery_latency_seconds: {
    type: 'histogram',
    labels: ['pool'],
    help: 'Time from the acceptance of a delivery until it was delivered, including retries.',
  },
  event_pusher_retries_total: { type: 'counter', labels: ['pool'], help: 'Attempts beyond the first of a delivery.' },
  event_pusher_left_lane_total: {
    type: 'counter',
    labels: ['pool'],
    help: 'Deliveries that kept failing and left their lane, so that later ones could proceed.',
  },
  event_pusher_deliveries_total: {
    type: 'counter',
    labels: ['pool', 'handler', 'disposition'],
    help: 'Dispositions of deliveries: delivered, dead, or retry (once for each postponement).',
  },
  event_pusher_dead_letters_total: { type: 'counter', labels: ['pool', 'handler', 'reason'], help: 'Dead letters created.' },
  event_pusher_delivery_callback_failures_total: {
    type: 'counter',
    labels: ['handler', 'callback'],
    help: 'Delivery callbacks that failed in pool threads.',
  },
  event_pusher_answers_ignored_total: {
    type: 'counter',
    labels: ['handler', 'reason'],
    help: 'Answers with a request that was not carried out.',
  },
  event_pusher_breaker_state: {
    type: 'gauge',
    labels: ['pool', 'handler'],
    help: 'State of circuit breakers: 0 closed, 1 slow start, 2 half-open, 3 open. The breaker of the whole pool has an empty handler.',
  },
  event_pusher_breaker_opened_total: { type: 'counter', labels: ['pool', 'handler'], help: 'Times a circuit breaker opened.' },
  event_pusher_handler_pauses_total: {
    type: 'counter',
    labels: ['pool', 'handler'],
    help: 'Times a backend stopped a handler by answering 429.',
  },
  event_pusher_throttled_seconds_total: {
    type: 'counter',
    labels: ['pool'],
    help: 'Time that deliveries waited only for the rate limit.',
  },
  event_pusher_local_shortages_total: { type: 'counter', labels: ['pool'], help: 'Connections not made for lack of descriptors or ports.' },
  event_pusher_overflow_total: {
    type: 'counter',
    labels: ['pool', 'handler', 'policy'],
    help: 'Deliveries that exceeded a full backlog, by policy.',
  },
  event_pusher_deleted_total: {
    type: 'counter',
    labels: ['pool', 'handler', 'reason'],
    help: 'Events deleted without delivery: dead letters by age, count or purge, waiting ones by drop, orphans by orphan-purge, both by erase.',
  },
  event_pusher_handler_paused: {
    type: 'gauge',
    labels: ['pool', 'handler'],
    help: '1 while an operator has paused the handler on the pool; no series if not.',
  },
  event_pusher_pool_paused: { type: 'gauge', labels: ['pool'], help: '1 while an operator has paused the pool.' },
  event_pusher_token_requests_total: {
    type: 'counter',
    labels: ['pool', 'result'],
    help: 'Answers of the OAuth 2.0 server of the pool: a token (issued), or none (failed).',
  },
  event_pusher_token_expiry_timestamp_seconds: {
    type: 'gauge',
    labels: ['pool'],
    help: 'Time at which the newest access token of the pool expires; no series without auth.oauth2.',
  },
  event_pusher_workers: { type: 'gauge', labels: ['pool', 'state'], help: 'Workers of the pool, busy or idle.' },
  event_pusher_pool_thread_deaths_total: { type: 'counter', labels: ['pool'], help: 'Threads of the pool that died and were replaced.' },

  event_pusher_spool_depth: {
    type: 'gauge',
    labels: ['pool', 'state'],
    help: 'Deliveries in the spool: waiting to be delivered, or dead.',
  },
  event_pusher_orphaned: {
    type: 'gauge',
    labels: ['pool', 'handler'],
    help: 'Deliveries whose handler or pool is not configured. They stay until it is, or until they are moved or purged.',
  },
  event_pusher_spool_oldest_age_seconds: { type: 'gauge', labels: ['pool'], help: 'Age of the oldest pending delivery.' },
  event_pusher_spool_bytes: { type: 'gauge', labels: [], help: 'Size of the spool on disk.' },
  event_pusher_spool_writable: { type: 'gauge', labels: [], help: '1 while the spool is writable, 0 while intake waits.' },
  event_pusher_spool_possible_loss: { type: 'gauge', labels: [], help: '1 if commits were missing when the spool was opened.' },
  event_pusher_spool_time_to_full_seconds: { type: 'gauge', labels: [], help: 'Time until intake stops for lack of space; +Inf if never.' },
  event_pusher_spool_commit_duration_seconds: { type: 'histogram', labels: [], help: 'Duration of spool transactions.' },
  event_pusher_spool_commands_total: { type: 'counter', labels: [], help: 'Appends, claims and settlements committed by the spool.' },

  event_pusher_config_reloads_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Requested reloads: applied to the running service, applied by a restart, or refused.',
  },
  event_pusher_config_last_reload_successful: {
    type: 'gauge',
    labels: [],
    help: '1 if the last configuration read is in use, 0 if it was refused.',
  },
  event_pusher_config_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Time at which the configuration in use was read.',
  },
  event_pusher_build_info: { type: 'gauge', labels: ['version', 'node'], help: 'Always 1; the labels contain the running versions.' },

  mod_event_pusher_http_sent_count: {
    type: 'counter',
    labels: ['host_type'],
    help: 'Event: mod_event_pusher_http_sent, Metric: count',
  },
  mod_event_pusher_http_sent_failure_count: {
    type: 'counter',
    labels: ['host_type'],
    help: 'Event: mod_event_pusher_http_sent, Metric: failure_count',
  },
  mod_event_pusher_http_sent_response_time: {
    type: 'histogram',
    labels: ['host_type'],
    help: 'Event: mod_event_pusher_http_sent, Metric: response_time',
  },
} as const satisfies Record<string, MetricRow>;

type MetricTable = typeof metricTable;
export type MetricName = keyof MetricTable;

/** The names of one type. */
export type NameOf<T extends MetricRow['type']> = { [N in MetricName]: MetricTable[N]['type'] extends T ? N : never }[MetricName];

/** One value for each label of a metric, in order. */
export type LabelValues<N extends MetricName> = ValueEach<MetricTable[N]['labels']>;

type ValueEach<Labels extends readonly string[]> = { readonly [I in keyof Labels]: string };
