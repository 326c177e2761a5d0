/** What is printed fits into this. */
const columns = 100;

/**
 * A table with aligned columns, numbers to the right. If it is too wide, the last `below` cells of each row are printed below
 * the row, each on a line. A cell is one line.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], below = 1): string {
  const cells = [headings, ...rows.map((row) => row.map((cell) => printable(cell).replaceAll('\n', ' ')))];
  const widths = headings.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const lines = cells.map((row) => line(row, widths));
  if (lines.every((text) => text.length <= columns)) return lines.join('');

  const narrow = cells.map((row) => {
    const under = row.slice(-below).filter((cell) => cell !== none);
    return [line(row.slice(0, -below), widths), ...under.map((cell) => `    ${cut(cell)}\n`)].join('');
  });
  return narrow.join('');
}

function line(row: readonly string[], widths: readonly number[]): string {
  const padded = row.map((cell, at) => (/^\d+$/.test(cell) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)));
  return `${padded.join('  ').trimEnd()}\n`;
}

/** The text of an empty cell. */
export const none = '-';

function cut(cell: string): string {
  return cell.length <= longestCell ? cell : `${cell.slice(0, longestCell - 1)}…`;
}

/** The indentation of a cell below its row. */
const longestCell = 300;

/** Labels in a column of their own, each with a text that may have several lines. */
export function facts(pairs: readonly (readonly [label: string, text: string])[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length)) + 2;
  const margin = ' '.repeat(width);
  return pairs.map(([label, text]) => `${label.padEnd(width)}${printable(text).split('\n').join(`\n${margin}`)}\n`).join('');
}

/** `1 dead letter`, `2 dead letters` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Writes for people or, with --json, for programs. */
export function tell(asJson: boolean | undefined, value: unknown, text: string): void {
  process.stdout.write(asJson === true ? `${JSON.stringify(value, null, 2)}\n` : text);
}

/** What somebody else wrote must not steer the terminal. Lines stay lines. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '\u{fffd}');
}
