/** A TOML table before any schema has seen it. */
export type Table = Readonly<Record<string, unknown>>;

/** Where a value stands: keys and, inside lists, positions. */
export type Path = readonly (number | string)[];

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The value as a table, or an empty one: for looking into sections whose shape is checked elsewhere. */
export function asTable(value: unknown): Table {
  return isTable(value) ? value : {};
}

/** The value at a path; undefined where the path leads nowhere. */
export function lookUp(value: unknown, path: Path): unknown {
  let here = value;
  for (const step of path) {
    if (Array.isArray(here) && typeof step === 'number') here = here[step];
    else if (isTable(here) && Object.hasOwn(here, step)) here = here[String(step)];
    else return undefined;
  }
  return here;
}

/** `modules.mod_event_pusher.backend.http[1].path`: as a reader of the file would say it. */
export function showPath(path: Path): string {
  return path.reduce<string>((shown, step) => {
    if (typeof step === 'number') return `${shown}[${step}]`;
    const key = /^[\w-]+$/.test(step) ? step : JSON.stringify(step);
    return shown === '' ? key : `${shown}.${key}`;
  }, '');
}
