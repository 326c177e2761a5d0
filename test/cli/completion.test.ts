/** The completion scripts in their shells. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import { scriptFor, shells } from '../../src/cli/completion.ts';
import { requirePackage } from '../support/packages.ts';

const commands = await allCommands();

const firstWords = [...new Set(commands.map(({ name }) => name.split(' ')[0]))].toSorted();
const optionsOf = (command: string) =>
  [...(commands.find(({ name }) => name === command)?.options ?? []), 'help'].map((option) => `--${option}`).toSorted();

/** Lines to complete, and the words that a shell offers. */
const lines: readonly (readonly [line: string, offered: readonly (string | undefined)[]])[] = [
  ['', firstWords],
  ['po', ['pools']],
  ['pools ', ['list', 'pause', 'resume']],
  ['pools re', ['resume']],
  ['--url http://x pools li', ['list']],
  ['check --', optionsOf('check')],
  ['dead-letters replay --pool mail --', optionsOf('dead-letters replay')],
  ['completion z', ['zsh']],
  ['pools list --url ', []],
  ['unknown ', []],
];

describe('bash', () => {
  test.each(lines)('completes "event-pusher %s"', (line, offered) => {
    const words = ['event-pusher', ...line.split(' ')];
    const script = `${scriptFor('bash', commands)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_event_pusher; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(lineList(stdout)).toEqual(offered);
  });
});

describe.skipIf(!(await requirePackage('fish')))('fish', () => {
  test.each(lines)('completes "event-pusher %s"', (line, offered) => {
    const script = `${scriptFor('fish', commands)}\ncomplete -C 'event-pusher ${line}'`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], {
      encoding: 'utf8',
      env: { ...process.env, HOME: '/nonexistent' },
    });
    expect(stderr).toBe('');
    const words = lineList(stdout).map((each) => each.split('\t')[0]);
    const own = offered.filter((word) => word !== '--help');
    expect(words).toEqual(own);
  });
});

describe.skipIf(!(await requirePackage('zsh')))('zsh', () => {
  // The functions of zsh's own completion need a line editor; these print the words that they are given.
  const stubs = `
compdef() { : }
_files() { : }
_describe() { print -rl -- "\${(@)\${(P)2}%%:*}" }
compadd() { shift; print -rl -- "$@" }`;

  test.each(lines)('completes "event-pusher %s"', (line, offered) => {
    const words = ['event-pusher', ...line.split(' ')];
    const script = `${stubs}\n${scriptFor('zsh', commands)}\nwords=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}\n_event_pusher`;
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    // zsh filters by the word before the cursor itself.
    const prefix = words.at(-1) ?? '';
    expect(lineList(stdout).filter((word) => word.startsWith(prefix))).toEqual(offered);
  });
});

test('every script names every command and every option', () => {
  for (const shell of shells) {
    const script = scriptFor(shell, commands);
    for (const { name, options } of commands) {
      for (const word of name.split(' ')) expect(script, shell).toContain(word);
      for (const option of options) expect(script, shell).toContain(option);
    }
  }
});

function lineList(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .toSorted();
}
