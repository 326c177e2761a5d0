/** The dashboard for Grafana in deploy/: its shape, and the metrics that it shows. test/scenarios/alerts.test.ts runs its queries. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { metricTable } from '../../src/telemetry/metric-table.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

const text = readFileSync(new URL('../../deploy/grafana/event-pusher.json', import.meta.url), 'utf8');
const { panels, templating }: Dashboard = JSON.parse(text);
const charts = panels.filter(({ type }) => type !== 'row');

test('each panel has a number of its own, a description and at least one query', () => {
  expect(charts.length).toBeGreaterThan(15);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(charts.filter(({ description = '', targets = [] }) => description === '' || targets.length === 0)).toEqual([]);
});

test('no two panels overlap, and none is wider than the page', () => {
  const overlaps = panels.flatMap((one, index) => panels.slice(index + 1).filter((other) => overlap(one, other)));
  expect(overlaps.map(({ title }) => title)).toEqual([]);
  expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
});

test('the queries use metrics that exist, with their labels', () => {
  for (const { expr } of charts.flatMap(({ targets = [] }) => targets)) {
    for (const [, name = '', given = ''] of expr.matchAll(/\b(event_pusher_\w+?)(?:_bucket)?\{([^}]*)\}/g)) {
      const metric = Object.entries(metricTable).find(([known]) => known === name)?.[1];
      expect(metric, name).toBeDefined();
      const labels = [...given.matchAll(/(\w+)=/g)].map(([, label = '']) => label);
      expect(labels.filter((label) => !['job', 'instance'].includes(label) && !metric?.labels.some((known) => known === label))).toEqual(
        [],
      );
    }
  }
});

test('the queries use only variables of the dashboard and of Grafana', () => {
  const known = new Set(['__rate_interval', '__all', ...templating.list.map(({ name }) => name)]);
  const used = [...text.matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name);
  expect(used.filter((name) => !known.has(name))).toEqual([]);
});

function overlap({ gridPos: one }: Panel, { gridPos: other }: Panel): boolean {
  return one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h;
}
