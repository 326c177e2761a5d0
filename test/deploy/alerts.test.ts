/** The alert rules of deploy/prometheus: which state of the service fires which alert, and a section of the runbook for each. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricTable } from '../../src/telemetry/metric-table.ts';
import { readPage } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { promtool } from '../support/prometheus.ts';

const rulesFile = fileURLToPath(new URL('../../deploy/prometheus/event-pusher.rules.yml', import.meta.url));
const rules = await readFile(rulesFile, 'utf8');
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);

/** Values once a minute, in promtool's notation, of a service without trouble. */
const healthy: Readonly<Record<string, string>> = {
  up: '1x120',
  process_start_time_seconds: '1000x120',
  event_pusher_build_info: '1x120',
  'event_pusher_attached{attachment="chat",host="localhost"}': '1x120',
  'event_pusher_tap_queue_fill_ratio{attachment="chat",host="localhost"}': '0.01x120',
  'event_pusher_tap_missed_total{attachment="chat",host="localhost"}': '0x120',
  'event_pusher_tap_queues_lost_total{attachment="chat",host="localhost"}': '0x120',
  'event_pusher_tap_marks_missing_total{attachment="chat",host="localhost"}': '0x120',
  'event_pusher_archive_gaps_total{attachment="chat",host="localhost"}': '0x120',
  'event_pusher_consecutive_failures{pool="push",handler="chat"}': '0x120',
  'event_pusher_breaker_state{pool="push",handler=""}': '0x120',
  'event_pusher_breaker_state{pool="push",handler="chat"}': '0x120',
  'event_pusher_deliveries_total{pool="push",handler="chat",disposition="delivered"}': '0+100x120',
  'event_pusher_deliveries_total{pool="push",handler="chat",disposition="retry"}': '0+1x120',
  'event_pusher_deliveries_total{pool="push",handler="chat",disposition="dead"}': '0x120',
  'event_pusher_dead_letters_total{pool="push",handler="chat",reason="callback-failed"}': '0x120',
  'event_pusher_deleted_total{pool="push",handler="chat",reason="age"}': '0x120',
  'event_pusher_spool_depth{pool="push",state="waiting"}': '3x120',
  'event_pusher_spool_depth{pool="push",state="dead"}': '0x120',
  'event_pusher_spool_oldest_age_seconds{pool="push"}': '1x120',
  event_pusher_spool_writable: '1x120',
  event_pusher_spool_possible_loss: '0x120',
  event_pusher_spool_time_to_full_seconds: '1e9x120',
  'event_pusher_pool_paused{pool="push"}': '0x120',
  'event_pusher_pool_thread_deaths_total{pool="push"}': '0x120',
  'event_pusher_local_shortages_total{pool="push"}': '0x120',
  'event_pusher_gate_total{answer="failed"}': '0x120',
  event_pusher_config_last_reload_successful: '1x120',
};

interface Trouble {
  readonly alert: string;
  readonly when: string;
  /** Series that differ from the healthy ones; `_x120`: absent. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes at which the alert fires, and at which it does not. */
  readonly fires: number;
  readonly silent?: number;
  /** Alerts that the same state fires at the same time. */
  readonly also?: readonly string[];
}

const troubles: readonly Trouble[] = [
  { alert: 'EventPusherDown', when: 'the scrape fails', series: { up: '1x30 0x90' }, fires: 34, silent: 30 },
  {
    alert: 'EventPusherDown',
    when: 'nothing is scraped',
    series: Object.fromEntries(Object.keys(healthy).map((name) => [name, '_x120'])),
    fires: 10,
    also: ['EventPusherSeriesMissing'],
  },
  {
    alert: 'EventPusherSeriesMissing',
    when: 'a gauge has gone',
    series: { event_pusher_spool_writable: '1x30 _x90' },
    fires: 45,
    silent: 30,
  },
  {
    alert: 'EventPusherAttachmentDown',
    when: 'a host is not attached',
    series: { 'event_pusher_attached{attachment="chat",host="localhost"}': '1x30 0x90' },
    fires: 34,
    silent: 31,
  },
  {
    alert: 'EventPusherTapQueueFilling',
    when: 'the queue of a tap is half full',
    series: { 'event_pusher_tap_queue_fill_ratio{attachment="chat",host="localhost"}': '0x30 0.6x90' },
    fires: 33,
    silent: 30,
  },
  ...['tap_missed', 'tap_queues_lost', 'tap_marks_missing', 'archive_gaps'].map((name) => ({
    alert: 'EventPusherEventsLost',
    when: `${name} rises`,
    series: { [`event_pusher_${name}_total{attachment="chat",host="localhost"}`]: '0x30 7x90' },
    fires: 33,
    silent: 60,
  })),
  {
    alert: 'EventPusherEventsLost',
    when: 'a new series begins above 0',
    series: { 'event_pusher_tap_missed_total{attachment="chat",host="other.example"}': '_x30 7x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherBackendFailing',
    when: 'no attempt is accepted for two minutes',
    series: { 'event_pusher_consecutive_failures{pool="push",handler="chat"}': '0x30 1+1x90' },
    fires: 35,
    silent: 32,
  },
  {
    alert: 'EventPusherBackendErrors',
    when: 'one attempt in five fails',
    series: { 'event_pusher_deliveries_total{pool="push",handler="chat",disposition="retry"}': '0+25x120' },
    fires: 20,
    silent: 3,
  },
  {
    alert: 'EventPusherBreakerOpen',
    when: 'a breaker is open, and probes',
    series: { 'event_pusher_breaker_state{pool="push",handler="chat"}': '0x30 3x3 2x1 3x90' },
    fires: 36,
    silent: 30,
  },
  {
    alert: 'EventPusherBacklogGrowing',
    when: 'a backlog grows for half an hour',
    series: { 'event_pusher_spool_depth{pool="push",state="waiting"}': '2000+100x120' },
    fires: 40,
  },
  {
    alert: 'EventPusherDeliveriesLate',
    when: 'a delivery waits for half an hour',
    series: { 'event_pusher_spool_oldest_age_seconds{pool="push"}': '0+60x120' },
    fires: 22,
    silent: 15,
  },
  {
    alert: 'EventPusherDeadLetters',
    when: 'the first delivery is refused',
    series: { 'event_pusher_dead_letters_total{pool="push",handler="chat",reason="refused"}': '_x30 1x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherDeadLetters',
    when: 'a callback fails',
    series: { 'event_pusher_dead_letters_total{pool="push",handler="chat",reason="callback-failed"}': '0x30 1x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherDeletions',
    when: 'dead letters are deleted for their age',
    series: { 'event_pusher_deleted_total{pool="push",handler="chat",reason="age"}': '0x30 5x90' },
    fires: 33,
    silent: 30,
  },
  {
    alert: 'EventPusherOverflow',
    when: 'a backlog is full',
    series: { 'event_pusher_overflow_total{pool="push",handler="chat",policy="refuse"}': '_x30 5x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherCallbacksFailing',
    when: 'a callback on accept throws',
    series: { 'event_pusher_callback_failures_total{handler="chat",callback="prepareBody"}': '0x30 1x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherCallbacksFailing',
    when: 'a callback at delivery throws',
    series: { 'event_pusher_delivery_callback_failures_total{handler="chat",callback="buildRequest"}': '_x30 1x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherOrphans',
    when: 'deliveries wait for a removed handler',
    series: { 'event_pusher_orphaned{pool="push",handler="old"}': '_x30 5x90' },
    fires: 45,
    silent: 35,
  },
  {
    alert: 'EventPusherIntakeStopped',
    when: 'the disk is full',
    series: { event_pusher_spool_writable: '1x30 0x90' },
    fires: 33,
    silent: 30,
  },
  {
    alert: 'EventPusherDiskFull',
    when: 'the spool is full in an hour',
    series: { event_pusher_spool_time_to_full_seconds: '1e9x30 3600x90' },
    fires: 50,
    silent: 40,
  },
  {
    alert: 'EventPusherSpoolLoss',
    when: 'commits were missing',
    series: { event_pusher_spool_possible_loss: '0x30 1x90' },
    fires: 33,
    silent: 29,
  },
  {
    alert: 'EventPusherPoolPaused',
    when: 'a pool is paused for more than an hour',
    series: { 'event_pusher_pool_paused{pool="push"}': '0x30 1x90' },
    fires: 95,
    silent: 80,
  },
  {
    alert: 'EventPusherHandlerPaused',
    when: 'a handler is paused for more than an hour',
    series: { 'event_pusher_handler_paused{pool="push",handler="chat"}': '_x30 1x90' },
    fires: 95,
    silent: 80,
  },
  {
    alert: 'EventPusherRestarts',
    when: 'the process starts three times in half an hour',
    series: { process_start_time_seconds: '1000x30 2800x5 3100x5 3400x80' },
    fires: 45,
    silent: 35,
  },
  {
    alert: 'EventPusherRestarts',
    when: 'a pool thread dies again and again',
    series: { 'event_pusher_pool_thread_deaths_total{pool="push"}': '0x30 0+1x90' },
    fires: 45,
    silent: 30,
  },
  {
    alert: 'EventPusherShortage',
    when: 'there is no descriptor for a connection',
    series: { 'event_pusher_local_shortages_total{pool="push"}': '0x30 3x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherShortage',
    when: 'a listener refuses connections',
    series: { 'event_pusher_connections_refused_total{listener="admin",reason="max-connections"}': '_x30 3x90' },
    fires: 33,
    silent: 60,
  },
  {
    alert: 'EventPusherGateUndecided',
    when: 'the gate fails to decide',
    series: { 'event_pusher_gate_total{answer="failed"}': '0x30 0+6x90' },
    fires: 42,
    silent: 30,
  },
  {
    alert: 'EventPusherReloadRefused',
    when: 'a reload is refused',
    series: { event_pusher_config_last_reload_successful: '1x30 0x90' },
    fires: 38,
    silent: 33,
  },
];

test('each alert is provoked by a test', () => {
  expect(alerts.length).toBeGreaterThan(15);
  expect(alerts.filter((name) => !troubles.some(({ alert }) => alert === name))).toEqual([]);
});

test('the rules name only metrics that exist, with their labels', () => {
  const named = [...rules.matchAll(/\b(event_pusher_\w+)(?:\{([^}]*)\})?/g)];
  expect(named.length).toBeGreaterThan(20);
  for (const [, name = '', labels = ''] of named) {
    const metric = Object.entries(metricTable).find(([known]) => known === name)?.[1];
    expect(metric, name).toBeDefined();
    const used = [...labels.matchAll(/(\w+)=/g)].map(([, label = '']) => label);
    expect(used.filter((label) => !metric?.labels.some((known) => known === label))).toEqual([]);
  }
});

test('each alert has a section of the runbook, which its annotation names', () => {
  const headings = [...readPage('docs/guides/incidents.md').text.matchAll(/^### (EventPusher\w+)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual(alerts);
  const links = [...rules.matchAll(/runbook: docs\/guides\/incidents\.md#(\w+)/g)].map(([, anchor]) => anchor);
  expect(links).toEqual(alerts.map((name) => name.toLowerCase()));
});

describe.skipIf(!(await requirePackage('prometheus', '/usr/bin/promtool')))('with promtool', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alerts-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('the rules are well-formed', () => {
    const { status, said } = promtool(['check', 'rules', rulesFile]);
    expect(said).toContain(`SUCCESS: ${alerts.length} rules found`);
    expect(status).toBe(0);
  });

  test('a service without trouble fires no alert in two hours', async () => {
    expect(
      await evaluate(
        {},
        [5, 30, 60, 119].map((minute) => ({ minute, firing: [] })),
      ),
    ).toEqual(success);
  });

  test.each(troubles)('$alert fires when $when', async ({ alert, series, fires, silent, also = [] }) => {
    const moments = [{ minute: fires, firing: [alert, ...also] }, ...(silent === undefined ? [] : [{ minute: silent, firing: [] }])];
    expect(await evaluate(series, moments)).toEqual(success);
  });

  test('one attached process of two is enough, as with a standby', async () => {
    const standby = 'event_pusher_attached{attachment="chat",host="localhost",instance="standby:9464"}';
    expect(await evaluate({ [standby]: '0x120' }, [{ minute: 30, firing: [] }])).toEqual(success);
  });

  /** Runs the rules on the healthy series with some replaced, and compares all alerts that fire at each moment. */
  async function evaluate(changes: Trouble['series'], moments: readonly { readonly minute: number; readonly firing: readonly string[] }[]) {
    const series = Object.entries({ ...healthy, ...changes }).map(([name, values]) => ({ series: fromService(name), values }));
    const expected = moments.map(({ minute, firing }) => ({
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: `${minute}m`,
      exp_samples: firing.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
    }));
    const input = {
      rule_files: [rulesFile],
      evaluation_interval: '1m',
      tests: [{ interval: '1m', input_series: series, promql_expr_test: expected }],
    };
    const file = join(folder, 'rules.test.yml');
    await writeFile(file, JSON.stringify(input)); // JSON is YAML
    return promtool(['test', 'rules', file]);
  }
});

const success = { status: 0, said: expect.stringContaining('SUCCESS') };

/** Adds the labels of the scrape. */
function fromService(series: string): string {
  const [name = '', labels = ''] = series.split(/[{}]/);
  const scraped = { job: 'event-pusher', instance: 'pusher:9464' };
  const missing = Object.entries(scraped).filter(([label]) => !labels.includes(`${label}=`));
  return `${name}{${[...missing.map(([label, value]) => `${label}="${value}"`), labels].filter((text) => text !== '').join(',')}}`;
}
