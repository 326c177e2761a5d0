import { ConfigInvalid } from '../config/mistakes.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { nearest } from '../kit/nearest.ts';
import { packageVersion } from '../kit/process.ts';
import { renderMistakes } from './check.ts';
import type { Command, Operands } from './command.ts';
import { helpOf, namesOf, usageOf } from './command.ts';
import { commands } from './commands.ts';
import { readOptions, wordsOf, wrongOption } from './options.ts';

/** Runs one command. Resolves with the exit code: 0 success, 1 failure, 2 wrong usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const given = wordsOf(args);
  const words = given[0] === 'help' ? given.slice(1) : given;
  const flags = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined);
  if (flags.some((flag) => flag === '--version' || flag === '-V')) return print(`${packageVersion()}\n`);
  const wantsHelp = given[0] === 'help' || flags.some((flag) => flag === '--help' || flag === '-h');
  if (wantsHelp) return help(words);

  const command = find(words);
  if (command === undefined) return complain(wrongOption(args) ?? complaintAbout(args, words), helpFor(words));
  return call(command, args).catch((thrown) => explain(thrown, command));
}

/** The command with the first one or two arguments as its name. */
function find(words: readonly string[]): Command | undefined {
  const line = words.join(' ');
  return commands.find(({ name }) => line === name || line.startsWith(`${name} `));
}

/** The commands with the same first word. */
function groupOf([group]: readonly string[]): readonly Command[] {
  return commands.filter(({ name }) => name.startsWith(`${group} `));
}

function help(words: readonly string[]): number {
  const command = find(words);
  if (command !== undefined) return print(helpOf([command]));
  const group = groupOf(words);
  if (group.length > 0) return print(helpOf(group));
  return words.length === 0 ? print(usageOf(commands)) : complain(complaintAbout([], words), namesOf(commands));
}

function helpFor(words: readonly string[]): string {
  const group = groupOf(words);
  return group.length > 0 ? helpOf(group) : namesOf(commands);
}

/** The error message if no command was found. */
function complaintAbout(args: readonly string[], words: readonly string[]): string {
  const [group, verb] = words;
  if (group === undefined) return args.length === 0 ? 'a command is missing' : `a command is missing before ${args[0]}`;
  const verbs = groupOf(words).map(({ name }) => name.slice(group.length + 1));
  const guess = (word: string, known: Iterable<string>): string => {
    const near = nearest(word, known);
    return near === undefined ? '' : `; did you mean "${near}"?`;
  };
  if (verbs.length > 0 && verb === undefined) return `"${group}" needs one of ${verbs.join(', ')}`;
  if (verbs.length > 0) return `unknown command "${group} ${verb}", expected one of ${verbs.join(', ')}${guess(verb ?? '', verbs)}`;
  return `unknown command "${group}"${guess(group, new Set(commands.map(({ name }) => name.split(' ', 1)[0] ?? '')))}`;
}

const noOperands: Operands = { least: 0, most: 0 };

async function call(command: Command, args: readonly string[]): Promise<number> {
  const { name, options, operands: takes = noOperands } = command;
  const { values, positionals } = readOptions(args, options);
  const operands = positionals.slice(name.split(' ').length);
  const stray = operands[takes.most];
  if (stray !== undefined) throw new ServiceError('USAGE', `unexpected argument after "${name}": ${stray}`);
  if (operands.length < takes.least) throw new ServiceError('USAGE', `missing argument: ${command.synopsis.split(' ', 1)[0]}`);
  const wrong = operands.find((operand) => takes.choices !== undefined && !takes.choices.includes(operand));
  if (wrong !== undefined) throw new ServiceError('USAGE', `received ${JSON.stringify(wrong)}, expected ${takes.choices?.join(', ')}`);
  return await command.run({ values, operands });
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function explain(thrown: unknown, command: Command): number {
  const error = toError(thrown);
  if (error instanceof ConfigInvalid) {
    const [summary = ''] = error.message.split('\n', 1);
    process.stderr.write(`event-pusher: ${summary}\n${renderMistakes(error.mistakes)}`);
    return 1;
  }
  if (error instanceof ServiceError && error.code === 'USAGE') return complain(error.message, helpOf([command]));
  process.stderr.write(`event-pusher: ${error.message}\n`);
  if (!(error instanceof ServiceError)) process.stderr.write(`${error.stack ?? ''}\n`);
  return 1;
}

/** A usage error: one line, and the help of the command. */
function complain(message: string, usage: string): number {
  process.stderr.write(`event-pusher: ${message}\n\n${usage}`);
  return 2;
}
