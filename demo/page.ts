import { styleText } from 'node:util';
import { printable } from '../src/cli/terminal.ts';
import type { Environment } from '../src/config/environment.ts';

/** The output of the demo, readable in a terminal of 100 columns and in a log. */
export interface Page {
  heading(text: string, aside?: string): void;
  /** A label in its own column, and a text that may have several lines. */
  row(label: string, text: string, tone?: Tone): void;
  /** An empty line. */
  gap(): void;
  /** A sentence or two. */
  say(text: string, tone?: Tone): void;
}

export type Tone = 'bad' | 'good' | 'plain' | 'quiet';

export interface PageOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const widest = 100;
const indent = 2;
const labelWidth = 15;

/** Uses colours only on a terminal without NO_COLOR (no-color.org). */
export function createPage(output: PageOutput, env: Environment): Page {
  const colours = output.isTTY === true && (env['NO_COLOR'] ?? '') === '';
  const width = Math.min(widest, output.columns ?? widest);
  const paint = (format: 'bold' | 'dim' | 'green' | 'yellow', text: string) =>
    colours ? styleText(format, text, { validateStream: false }) : text;

  function tint(text: string, tone: Tone): string {
    switch (tone) {
      case 'bad':
        return paint('yellow', text);
      case 'good':
        return paint('green', text);
      case 'plain':
        return text;
      case 'quiet':
        return paint('dim', text);
      default:
        return tone satisfies never;
    }
  }

  function block(left: string, text: string, tone: Tone): void {
    const margin = ' '.repeat(indent + (left === '' ? 0 : labelWidth));
    const lines = wrap(printable(text), width - margin.length).map(
      (line, index) => (index === 0 || line === '' ? '' : margin) + tint(line, tone),
    );
    const first = left === '' ? margin : ' '.repeat(indent) + paint('dim', left.padEnd(labelWidth));
    output.write(`${first}${lines.join('\n')}\n`);
  }

  return {
    heading: (text, aside = '') => output.write(`\n${paint('bold', text)}${aside === '' ? '' : `  ${paint('dim', aside)}`}\n`),
    row: (label, text, tone = 'plain') => block(label === '' ? ' ' : label, text, tone),
    gap: () => output.write('\n'),
    say: (text, tone = 'plain') => block('', text, tone),
  };
}

/** Breaks only at blanks, so that a path or a form can be copied. */
function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    for (const word of paragraph.split(/(?<=\S) (?=\S)/)) {
      const last = lines.at(-1);
      if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
      else lines[lines.length - 1] = `${last} ${word}`;
    }
    return lines;
  });
}
