import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelValues, type MetricName, metricTable, type NameOf } from './metric-table.ts';
import { Series, Spread, Tally } from './series.ts';

/** Upper bounds of histograms in seconds. Attempts: from a backend on this machine to a `call_timeout` of a minute. */
export const attemptBuckets: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Callbacks: most take microseconds, the slowest end at their deadline. */
export const callbackBuckets: readonly number[] = [0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5];

/** Transactions: from a fast disk to a failing one. */
export const commitBuckets: readonly number[] = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/** Waits: up to three days, because they can last as long as the outage of a backend. */
export const waitBuckets: readonly number[] = [
  0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200,
];

/** Current values of a metric, each with its label values in the order of the labels. */
type Samples<N extends MetricName> = Iterable<readonly [LabelValues<N>, number]>;

type AnySamples = Iterable<readonly [readonly string[], number]>;

/** Creates metrics in prom-client. Names, types and labels come from the metric table; values are read on a scrape. */
export class MetricRegistry {
  readonly prometheus = new Registry();

  counter<N extends NameOf<'counter'>>(name: N): Series<Tally, LabelValues<N>> {
    const series = new Series<Tally, LabelValues<N>>(() => new Tally());
    this.#counterOf(name, () => totals(series));
    return series;
  }

  /** A counter whose value is kept elsewhere; `read` must never return less than before. */
  counterOf<N extends NameOf<'counter'>>(name: N, read: () => Samples<N>): void {
    this.#counterOf(name, read);
  }

  gauge<N extends NameOf<'gauge'>>(name: N, read: () => Samples<N>): void {
    const { labels } = metricTable[name];
    const gauge: Gauge = new Gauge({
      ...this.#settings(name),
      collect: () => {
        gauge.reset();
        for (const [values, value] of read()) gauge.set(labelled(labels, values), value);
      },
    });
  }

  /** `bounds`: the upper bounds of the buckets, ascending, in the metric's unit. */
  histogram<N extends NameOf<'histogram'>>(name: N, bounds: readonly number[]): Series<Spread, LabelValues<N>> {
    const { help, type } = metricTable[name];
    const series = new Series<Spread, LabelValues<N>>(() => new Spread(bounds));
    // prom-client cannot take a distribution that was counted elsewhere, so its histogram reads ours.
    const get = () => Promise.resolve({ name, help, type, aggregator: 'sum', values: [...bucketsOf(name, bounds, series)] });
    Object.assign(new Histogram({ ...this.#settings(name), buckets: [...bounds] }), { get, getForPromString: get });
    return series;
  }

  #counterOf(name: MetricName, read: () => AnySamples): void {
    const { labels } = metricTable[name];
    const counter: Counter = new Counter({
      ...this.#settings(name),
      collect: () => {
        counter.reset();
        for (const [values, total] of read()) counter.inc(labelled(labels, values), total);
      },
    });
  }

  #settings(name: MetricName) {
    const { help, labels } = metricTable[name];
    return { name, help, labelNames: [...labels], registers: [this.prometheus] };
  }
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
