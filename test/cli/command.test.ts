import { expect, test } from 'vitest';
import { helpOf, usageOf } from '../../src/cli/command.ts';
import { allCommands } from '../../src/cli/commands.ts';
import { deadReasons } from '../../src/model/attempt.ts';

const commands = await allCommands();

const usage = usageOf(commands);

/** Placeholders of a synopsis for several options. */
const groups: Readonly<Record<string, string>> = {
  SERVICE: '--config --url --token --ca --cert --key --json',
  FILTER: '--pool --handler --host --reason --detail --since --before',
  KEY: '--key-file --key-env',
  SEARCH: '--id --jid --stanza-id --handler --pool --host --state --status --since --before',
};

test.each(commands.map((command) => [command.name, command] as const))('the usage of %s names all its options', (name, command) => {
  expect(usage).toContain(`  ${name} ${command.synopsis}`);
  const named = Object.entries(groups).reduce((text, [group, options]) => text.replace(group, options), command.synopsis);
  expect([...named.matchAll(/--([a-z-]+)/g)].map(([, option]) => option).sort()).toEqual([...command.options].sort());
});

test('the usage fits into 100 columns and explains the placeholders', () => {
  expect(usage.split('\n').filter((line) => line.length > 100)).toEqual([]);
  for (const [group, options] of Object.entries(groups)) {
    const told = usage.slice(usage.indexOf(`\n${group}:`)).split(/\n(?=[A-Z])/, 2)[1];
    for (const option of options.split(' ')) expect(told, group).toContain(option);
  }
});

test('the help of a command with a filter lists all reasons of dead letters', () => {
  const help = helpOf(commands.filter(({ name }) => name === 'dead-letters list'));
  const reasons = help.slice(help.indexOf('\nREASON:')).split(/\n(?=[A-Z])/, 2)[1] ?? '';
  expect(reasons.match(/[a-z]+(?:-[a-z]+)?(?=,| or |\.)/g)).toEqual([...deadReasons]);
});
