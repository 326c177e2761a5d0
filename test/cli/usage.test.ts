import { expect, test } from 'vitest';
import { commands } from '../../src/cli/commands.ts';
import { helpOf, usageOf } from '../../src/cli/usage.ts';
import { deadReasons } from '../../src/model/attempt.ts';

const usage = usageOf(commands);

/** What stands in a synopsis for several options. */
const groups: Readonly<Record<string, string>> = {
  SERVICE: '--config --url --token --json',
  FILTER: '--pool --handler --host --reason --since --before',
};

test.each(commands.map((command) => [command.name, command] as const))(
  'the usage of %s names every option that it takes',
  (name, command) => {
    expect(usage).toContain(`  ${name} ${command.synopsis}`);
    const named = Object.entries(groups).reduce((text, [group, options]) => text.replace(group, options), command.synopsis);
    expect([...named.matchAll(/--([a-z-]+)/g)].map(([, option]) => option).sort()).toEqual([...command.options].sort());
  },
);

test('the usage fits into 100 columns, and tells the groups', () => {
  expect(usage.split('\n').filter((line) => line.length > 100)).toEqual([]);
  for (const [group, options] of Object.entries(groups)) {
    const told = usage.slice(usage.indexOf(`\n${group}:`)).split(/\n(?=[A-Z])/, 2)[1];
    for (const option of options.split(' ')) expect(told, group).toContain(option);
  }
});

test('the help of a command that takes a filter lists every reason that a dead letter can have', () => {
  const help = helpOf(commands.filter(({ name }) => name === 'dead-letters list'));
  const reasons = help.slice(help.indexOf('\nREASON:')).split(/\n(?=[A-Z])/, 2)[1] ?? '';
  expect(reasons.match(/[a-z]+(?:-[a-z]+)?(?=,| or |\.)/g)).toEqual([...deadReasons]);
});
