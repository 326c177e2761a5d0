import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelValues, type MetricName, metricTable, type NameOf } from './metric-table.ts';
import { createSeries, type Series, Spread, Tally } from './series.ts';

/** Values of a metric at this moment, each with its label values in the order of the labels. */
export type Samples<N extends MetricName> = Iterable<readonly [LabelValues<N>, number]>;

/** Between what counts and prom-client: names, types and labels come from the metric table, values are read on a scrape. */
export interface MetricRegistry {
  readonly prometheus: Registry;
  counter<N extends NameOf<'counter'>>(name: N): Series<Tally, LabelValues<N>>;
  /** A counter that is kept elsewhere; `read` must never give less than before. */
  counterOf<N extends NameOf<'counter'>>(name: N, read: () => Samples<N>): void;
  gauge<N extends NameOf<'gauge'>>(name: N, read: () => Samples<N>): void;
  /** `bounds`: the upper bounds of the buckets, ascending, in the metric's unit. */
  histogram<N extends NameOf<'histogram'>>(name: N, bounds: readonly number[]): Series<Spread, LabelValues<N>>;
}

export function createMetricRegistry(): MetricRegistry {
  const prometheus = new Registry();
  const registers = [prometheus];

  function counterOf(name: MetricName, read: () => Iterable<readonly [readonly string[], number]>): void {
    const { help, labels } = metricTable[name];
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: [...labels],
      registers,
      collect: () => {
        counter.reset();
        for (const [values, total] of read()) counter.inc(labelled(labels, values), total);
      },
    });
  }

  function counter<N extends NameOf<'counter'>>(name: N): Series<Tally, LabelValues<N>> {
    const series = createSeries<Tally, LabelValues<N>>(() => new Tally());
    counterOf(name, () => totals(series));
    return series;
  }

  function gauge(name: MetricName, read: () => Iterable<readonly [readonly string[], number]>): void {
    const { help, labels } = metricTable[name];
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers,
      collect: () => {
        gauge.reset();
        for (const [values, value] of read()) gauge.set(labelled(labels, values), value);
      },
    });
  }

  function histogram<N extends NameOf<'histogram'>>(name: N, bounds: readonly number[]): Series<Spread, LabelValues<N>> {
    const { help, labels, type } = metricTable[name];
    const series = createSeries<Spread, LabelValues<N>>(() => new Spread(bounds));
    // prom-client has no door for distributions that were counted elsewhere, so its histogram is told to read ours.
    const get = () => Promise.resolve({ name, help, type, aggregator: 'sum', values: [...bucketsOf(name, bounds, series)] });
    Object.assign(new Histogram({ name, help, labelNames: [...labels], buckets: [...bounds], registers }), { get, getForPromString: get });
    return series;
  }

  return { prometheus, counter, counterOf, gauge, histogram };
}

function* totals(series: Series<Tally, never>): Generator<readonly [readonly string[], number]> {
  for (const [values, tally] of series.cells()) yield [values, tally.total];
}

function* bucketsOf(name: MetricName, bounds: readonly number[], series: Series<Spread, never>) {
  for (const [values, spread] of series.cells()) {
    const labels = labelled(metricTable[name].labels, values);
    const { cumulative, sum } = spread.read();
    for (const [index, value] of cumulative.entries()) {
      yield { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[index] ?? '+Inf' }, value };
    }
    yield { metricName: `${name}_sum`, labels, value: sum };
    yield { metricName: `${name}_count`, labels, value: cumulative.at(-1) ?? 0 };
  }
}

function labelled(labels: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(labels.map((label, index) => [label, values[index] ?? '']));
}
