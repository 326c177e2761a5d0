import { describe, expect, test } from 'vitest';
import { createPage, type PageOutput } from '../../demo/page.ts';

function makeOutput(terminal: Omit<PageOutput, 'write'> = {}) {
  let text = '';
  const output: PageOutput = {
    ...terminal,
    write: (more) => {
      text += more;
    },
  };
  return { output, text: () => text };
}

describe('a page', () => {
  test('has labels in a column, and further lines of a text below the first', () => {
    const { output, text } = makeOutput();
    createPage(output, {}).row('said', 'one\ntwo');
    expect(text()).toBe('  said           one\n                 two\n');
  });

  test('breaks sentences at blanks before column 100, and keeps a long word whole', () => {
    const { output, text } = makeOutput({ isTTY: false, columns: 300 });
    const page = createPage(output, {});
    page.say('word '.repeat(25).trim());
    page.row('form', `message=${'%F0'.repeat(60)}`);
    const [first = '', second = '', form = ''] = text().split('\n');
    expect(first.length).toBeLessThanOrEqual(100);
    expect(first.length).toBeGreaterThan(94);
    expect(second).toMatch(/^ {2}word/);
    expect(form).toContain('%F0'.repeat(60));
  });

  test('is no wider than a narrow terminal', () => {
    const { output, text } = makeOutput({ isTTY: true, columns: 60 });
    createPage(output, {}).row('text', 'word '.repeat(40).trim());
    const widths = text().split('\n').slice(1, -1);
    expect(widths.length).toBeGreaterThan(1);
    for (const line of widths) expect(line.length).toBeLessThanOrEqual(60);
  });

  test.each([
    ['a terminal', { isTTY: true }, {}, true],
    ['a terminal with NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, false],
    ['a file', {}, {}, false],
  ])('uses colours as required for %s', (_, terminal, env, coloured) => {
    const { output, text } = makeOutput(terminal);
    const page = createPage(output, env);
    page.heading('Chat', 'aside');
    page.row('said', 'Hi', 'good');
    expect(text().includes('\u{1b}[')).toBe(coloured);
  });

  test('replaces control characters', () => {
    const { output, text } = makeOutput();
    createPage(output, {}).row('said', 'a\u{1b}[2Jb\r\u{9b}c');
    expect(text()).toMatch(/^ {2}said {11}a�\[2Jb��c\n$/);
  });
});
