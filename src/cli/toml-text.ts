/** One table of the effective configuration. Keys may be dotted; absent values are left out. */
export interface TomlSection {
  /** `[spool]`, `[[modules.mod_event_pusher.http.handlers]]` */
  readonly title: string;
  readonly comment?: string;
  readonly entries: Readonly<Record<string, unknown>>;
}

/** A table as TOML text; a list wider than `columns` is written with one item per line. */
export function tomlSection({ title, comment, entries }: TomlSection, columns: number): string {
  const lines = Object.entries(entries)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => assignment(key, value, columns));
  return [title, ...(comment === undefined ? [] : [`# ${comment}`]), ...lines].join('\n');
}

function assignment(key: string, value: unknown, columns: number): string {
  const line = `${key} = ${tomlValue(value)}`;
  if (line.length <= columns || !Array.isArray(value)) return line;
  return [`${key} = [`, ...value.map((item) => `  ${tomlValue(item)},`), ']'].join('\n');
}

function tomlValue(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? JSON.stringify(value) : String(value);
  const pairs = Object.entries(value).map(([key, item]) => `${tomlKey(key)} = ${tomlValue(item)}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

/** A TOML key, bare or in quotes. */
export function tomlKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

/** `30000` as `"30s"`: the largest unit without a remainder. */
export function durationText(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return 'forever';
  return inUnits(ms, [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ]);
}

/** `1048576` as `"1MiB"`, `64000000` as `"64MB"`. */
export function sizeText(bytes: number): string {
  return inUnits(bytes, [
    ['GiB', 1024 ** 3],
    ['GB', 1000 ** 3],
    ['MiB', 1024 ** 2],
    ['MB', 1000 ** 2],
    ['KiB', 1024],
    ['kB', 1000],
    ['B', 1],
  ]);
}

function inUnits(amount: number, units: readonly (readonly [unit: string, factor: number])[]): string {
  const [unit, factor] = units.find(([, factor]) => amount >= factor && amount % factor === 0) ?? units.at(-1) ?? ['', 1];
  return `${amount / factor}${unit}`;
}

/** A host before a port: an IPv6 address in brackets. */
export function hostText(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
