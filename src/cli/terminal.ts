import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { ServiceError } from '../kit/errors.ts';

/** Maximum width of the output. */
export const columns = 100;

/**
 * A table with aligned columns, numbers to the right. If it is too wide, the last `below` cells of each row are printed below
 * the row, each on its own line. A cell has one line.
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

/** Maximum length of a cell below its row. */
const longestCell = 300;

/** Labels in their own column, each with a text that may have several lines. */
export function facts(pairs: readonly (readonly [label: string, text: string])[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length)) + 2;
  const margin = ' '.repeat(width);
  return pairs.map(([label, text]) => `${label.padEnd(width)}${printable(text).split('\n').join(`\n${margin}`)}\n`).join('');
}

/** `1 dead letter`, `2 dead letters` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Writes the text or, with --json, the value. */
export function output(asJson: boolean | undefined, value: unknown, text: string): void {
  process.stdout.write(asJson === true ? `${jsonText(value, 2)}\n` : text);
}

/** Characters that control a terminal, reverse the direction of text, or are invisible; without line breaks. */
const unsafe = /[^\P{Cc}\n]|[\u{200b}-\u{200f}\u{61c}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}]/gu;

/** Replaces control characters, so that foreign text cannot control or disguise the output of the terminal. Line breaks are kept. */
export function printable(text: string): string {
  return text.replace(unsafe, '\u{fffd}');
}

/** JSON of the same value without such characters: the terminal may be the reader. JSON itself escapes only some of them. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(unsafe, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Asks at the terminal before a permanent removal. */
export async function confirm(question: string): Promise<boolean> {
  const answer = await askLine(`${question} [y/N]`);
  return answer !== undefined && /^y(es)?$/i.test(answer);
}

/** Asks at the terminal; undefined after Ctrl-C or Ctrl-D. */
export async function askLine(question: string): Promise<string | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const closed = once(terminal, 'close').then(() => undefined);
    const answer = await Promise.race([terminal.question(`${question} `), closed]);
    return answer?.trim();
  } finally {
    terminal.close();
  }
}

/** Whether there is a person to ask. */
export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Throws USAGE if standard input is no terminal: then --yes is required. */
export function requireTerminal(): void {
  if (process.stdin.isTTY !== true)
    throw new ServiceError('USAGE', 'this removes permanently and there is no terminal to ask: add --yes, or --dry-run to count');
}

/** A list item, broken between words, with further lines indented. */
export function listItem(text: string): string {
  const lines: string[] = [];
  let line = '  -';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > columns && line.trim() !== '-') {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}
