import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type MetricRow, metricTable } from '../../src/telemetry/metric-table.ts';
import { observe } from './observed.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the page of metrics and the metric table agree on each metric', () => {
  expect(documentedMetrics()).toEqual(metricTable);
});

test('renders exactly the metrics of the table, with type and help, and those of the process', async () => {
  const { text } = await observe({ mongooseim: true }).metrics.render();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => [name, type] as const);
  const ours = types.filter(([name]) => !/^(process|nodejs)_/.test(name));
  expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(Object.entries(metricTable).map(([name, { type }]) => [name, type])));
  for (const [name, { help }] of Object.entries(metricTable)) expect(text).toContain(`# HELP ${name} ${help}\n`);
});

test('the page of events lists every event, and no other', () => {
  const source = read('src/telemetry/events.ts');
  const declared = [...source.matchAll(/^ {2}'?([a-z-]+(?:\.[a-z-]+)?)'?: (?:\{|DeliverySubject;)/gm)].map(([, name]) => name);
  expect(rows('docs/reference/events.md').map(([name]) => bare(name))).toEqual(declared);
});

function documentedMetrics(): Record<string, MetricRow> {
  const metrics = rows('docs/reference/metrics.md').map(([name, type, labels = '', help = '']) => {
    const row = { type, labels: labels === '' ? [] : labels.split(', ').map(bare), help };
    return [bare(name), row as MetricRow] as const;
  });
  return Object.fromEntries(metrics);
}

/** The cells of all table rows of a page, without the tables' own headings. */
function rows(page: string): readonly (readonly string[])[] {
  return read(page)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function bare(code = ''): string {
  return code.replaceAll('`', '');
}
