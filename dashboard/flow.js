/** What flows: tap queue, accepted, waiting, delivered and failed, with plots of the last minutes or the last hour. */
import uPlot from './vendor/uPlot.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from './view.js';
import { amount, percent, rate } from './words.js';

/**
 * @typedef {import('./live.js').Status} Status
 * @typedef {import('./live.js').Points} Points
 */

const ranges = [
  { label: '5 min', seconds: 300 },
  { label: '1 h', seconds: 3600 },
];

/** @param {{ status: Status, points: Points, now: number }} props */
export function Flow({ status, points, now }) {
  const [seconds, setSeconds] = useState(300);
  const { mean } = status.flow;
  const hasTap = status.hosts.some(({ tap }) => tap !== null);
  const common = { seconds, now };
  return html`<section aria-labelledby="flow-title">
    <div class="title">
      <h2 id="flow-title">Flow</h2>
      <div class="choices" role="group" aria-label="Time range of the plots">
        ${ranges.map(
          (range) =>
            html`<button type="button" key=${range.label} aria-pressed=${range.seconds === seconds} onClick=${() => setSeconds(range.seconds)}>${range.label}</button>`,
        )}
      </div>
    </div>
    <ol class="flow">
      <${Tile} ...${common} name="Tap queue" value=${hasTap ? percent(mean.tapFill) : '–'} unit=${hasTap ? 'full' : 'not reported'} lines=${[line('tapFill', 'Fill', '--plot-tap')]} points=${points} format=${percent} />
      <${Tile} ...${common} name="Accepted" value=${rate(mean.accepted)} unit="per second" lines=${[line('accepted', 'Accepted', '--plot-in')]} points=${points} format=${rate} />
      <${Tile} ...${common} name="Waiting" value=${amount(mean.waiting)} unit="events" lines=${[line('waiting', 'Waiting', '--plot-wait')]} points=${points} format=${amount} />
      <${Tile}
        ...${common}
        name="Delivered"
        value=${rate(mean.delivered)}
        unit="per second"
        extra=${html`<span class=${mean.failed + mean.dead > 0 ? 'bad' : 'dim'}>failed ${rate(mean.failed)}/s, dead ${rate(mean.dead)}/s</span>`}
        lines=${[line('delivered', 'Delivered', '--plot-out'), line('failed', 'Failed attempts', '--plot-bad')]}
        points=${points}
        format=${rate}
      />
    </ol>
  </section>`;
}

/** @param {keyof Points} key @param {string} label @param {string} colour a custom property of the style sheet */
function line(key, label, colour) {
  return { key, label, colour };
}

/**
 * @typedef {object} TileProps
 * @property {string} name
 * @property {string} value
 * @property {string} unit
 * @property {unknown} [extra]
 * @property {ReturnType<typeof line>[]} lines
 * @property {Points} points
 * @property {number} seconds length of the plot
 * @property {number} now
 * @property {(value: number) => string} format
 */

/** @param {TileProps} props */
function Tile({ name, value, unit, extra, ...plot }) {
  return html`<li class="tile">
    <p class="name">${name}</p>
    <p class="value"><strong>${value}</strong> ${unit}</p>
    <p class="extra">${extra}</p>
    <${Plot} ...${plot} />
  </li>`;
}

/** @param {Omit<TileProps, 'extra' | 'name' | 'unit' | 'value'>} props */
function Plot({ lines, points, seconds, now, format }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {uPlot | undefined} */ (undefined));
  const style = useStyleVersion();

  useLayoutEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new uPlot(optionsFor({ lines, format }, element.clientWidth), [[], ...lines.map(() => [])], element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: plotHeight }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [style]);

  useEffect(() => {
    if (document.hidden) return;
    const end = Math.floor(now / 1000);
    const length = Math.min(seconds, points.accepted.length);
    const times = Array.from({ length }, (_, index) => end - length + 1 + index);
    chart.current?.setData([times, ...lines.map(({ key }) => points[key].slice(-length || points[key].length))], false);
    chart.current?.setScale('x', { min: end - seconds, max: end });
    chart.current?.setScale('y', { min: 0, max: highest(lines, points, length) });
  });

  const shown = lines.map(({ key, label }) => {
    const values = points[key].slice(-seconds);
    return `${label}: now ${format(values.at(-1) ?? 0)}, highest ${format(values.reduce((one, other) => Math.max(one, other), 0))}`;
  });
  return html`<div class="plot" ref=${place} role="img" aria-label=${`${shown.join('; ')}, in the last ${seconds / 60} minutes`}></div>`;
}

const plotHeight = 96;

/** @param {ReturnType<typeof line>[]} lines @param {Points} points @param {number} length */
function highest(lines, points, length) {
  const isFill = lines.some(({ key }) => key === 'tapFill');
  if (isFill) return 1;
  let most = 4;
  for (const { key } of lines) for (const value of points[key].slice(-length || points[key].length)) most = Math.max(most, value);
  return most * 1.1;
}

/** @param {Pick<TileProps, 'format' | 'lines'>} plot @param {number} width @returns {uPlot.Options} */
function optionsFor({ lines, format }, width) {
  const axis = { stroke: colour('--dim'), font: '11px system-ui', ticks: { show: false }, grid: { stroke: colour('--grid'), width: 1 } };
  return {
    width,
    height: plotHeight,
    padding: [6, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      { ...axis, size: 18, gap: 2, space: 70, grid: { show: false }, values: (_, splits) => splits.map(timeText) },
      { ...axis, size: 44, gap: 4, space: 30, incrs: steps(lines), values: (_, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((each) => ({ stroke: colour(each.colour), width: 1.5, fill: fillOf(colour(each.colour)), points: { show: false } })),
    ],
  };
}

/** The present colour of a custom property, which a canvas cannot read. @param {string} name */
function colour(name) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Whole numbers on the axis; a fill ratio has halves and quarters. @param {ReturnType<typeof line>[]} lines */
function steps(lines) {
  if (lines.some(({ key }) => key === 'tapFill')) return [0.5, 1];
  return Array.from({ length: 27 }, (_, index) => ([1, 2, 5][index % 3] ?? 1) * 10 ** Math.floor(index / 3));
}

/** @param {string} colour */
function fillOf(colour) {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.13)');
}

/** @param {number} seconds */
function timeText(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
}

/** Changes when the colours change: a canvas does not follow the style sheet by itself. */
function useStyleVersion() {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const bump = () => setVersion((before) => before + 1);
    const query = matchMedia('(prefers-color-scheme: dark)');
    const observer = new MutationObserver(bump);
    query.addEventListener('change', bump);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    return () => {
      query.removeEventListener('change', bump);
      observer.disconnect();
    };
  }, []);
  return version;
}
