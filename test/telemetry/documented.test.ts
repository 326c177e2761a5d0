import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type MetricRow, metricTable } from '../../src/telemetry/metric-table.ts';
import { observe } from './observed.ts';

const readme = readFileSync(new URL('../../src/telemetry/README.md', import.meta.url), 'utf8');

test('the README and the metric table tell the same of each metric', () => {
  expect(documentedMetrics()).toEqual(metricTable);
});

test('every metric of the table is rendered with its type and help, and nothing else is but the process', async () => {
  const { text } = await observe({ mongooseim: true }).metrics.render();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => [name, type] as const);
  const ours = types.filter(([name]) => !/^(process|nodejs)_/.test(name));
  expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(Object.entries(metricTable).map(([name, { type }]) => [name, type])));
  for (const [name, { help }] of Object.entries(metricTable)) expect(text).toContain(`# HELP ${name} ${help}\n`);
});

test('the README lists every event', () => {
  const source = readFileSync(new URL('../../src/telemetry/events.ts', import.meta.url), 'utf8');
  const declared = [...source.matchAll(/^ {2}'?([a-z-]+(?:\.[a-z-]+)?)'?: \{/gm)].map(([, name]) => name);
  expect(rows('## Events').map(([name]) => bare(name))).toEqual(declared);
});

function documentedMetrics(): Record<string, MetricRow> {
  const metrics = rows('## Metrics').map(([name, type, labels = '', help = '']) => {
    const row = { type, labels: labels === '' ? [] : labels.split(', ').map(bare), help };
    return [bare(name), row as MetricRow] as const;
  });
  return Object.fromEntries(metrics);
}

/** The cells of all table rows below a heading, without the tables' own headings. */
function rows(heading: string): readonly (readonly string[])[] {
  const section = readme.split(/^(?=## )/m).find((part) => part.startsWith(heading)) ?? '';
  return section
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
