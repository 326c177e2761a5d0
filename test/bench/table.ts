/** A line of a table of figures. */
export interface Row {
  readonly measure: string;
  readonly measured: string;
  /** From the same run. */
  readonly reference: string;
  readonly ratio: string;
  readonly goal: string;
}

/** The text of a Markdown table, padded so that it can be read as it is. The first line holds the titles. */
export function tableOf(lines: readonly (readonly string[])[]): string {
  const [titles = []] = lines;
  const widths = titles.map((_title, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = (line: readonly string[]) => `| ${widths.map((width, column) => (line[column] ?? '').padEnd(width)).join(' | ')} |\n`;
  return [titles, widths.map((width) => '-'.repeat(width)), ...lines.slice(1)].map(text).join('');
}

export function rowsTable(rows: readonly Row[]): string {
  const titles = ['measure', 'measured', 'reference', 'ratio', 'goal'];
  return tableOf([titles, ...rows.map(({ measure, measured, reference, ratio, goal }) => [measure, measured, reference, ratio, goal])]);
}

export const none = '–';

export function micros(value: number): string {
  return `${value.toFixed(1)} µs`;
}

export function millis(value: number): string {
  return `${value.toFixed(1)} ms`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)} ×`;
}

export function perSecond(value: number): string {
  return `${Math.round(value)}/s`;
}
