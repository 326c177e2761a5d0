/** The messages that the guides list under "What can go wrong" are those of the code. Tests of test/guides provoke them with real servers. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { guides, readGuide } from '../support/guide.ts';

const source = sourceFiles('../../src/').join('\n');

test.each(guides)('the messages that the page %s lists are in the source', (name) => {
  const guide = readGuide(name);
  const listed = [...guide.rows('it says'), ...guide.rows('the service says'), ...guide.rows('the answer')].map(([text = '']) => text);
  const messages = listed.filter((text) => text !== 'nothing' && !text.startsWith('offline:'));
  for (const message of messages)
    expect(
      fixedWordsOf(message).filter((part) => !source.includes(part)),
      message,
    ).toEqual([]);
});

/** The parts of a message without the names, addresses and texts of the server that it quotes. */
function fixedWordsOf(message: string): readonly string[] {
  const [, text = ''] = /^(?:\w+: |event-pusher: |\d{3} )?(.*)$/.exec(message) ?? [];
  const values =
    /(?<=field )\w+|\b[\w-]+@[\w.-]+|\b(?:\w+\.)+(?:example\.)?org\b|\d+(?:\.\d+)+:\d+|\([^)]*\)|\[attach\.\w+[^\]]*\]|\b[a-z]+-[a-z-]+\b|\//g;
  return text
    .replace(values, '\n')
    .split('\n')
    .map((part) => part.replace(/^[\s:.]+|[\s:.]+$/g, ''))
    .filter((part) => part.split(' ').length > 2);
}

function sourceFiles(folder: string): readonly string[] {
  const root = new URL(folder, import.meta.url);
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return names.map((name) => readFileSync(new URL(name, root), 'utf8'));
}
