import type { Readable } from 'node:stream';
import { ConfigInvalid, type Mistake, mistakeLine } from '../config/mistakes.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { nearest } from '../kit/nearest.ts';
import { packageVersion } from '../kit/process.ts';
import type { Command, Operands } from './command.ts';
import { helpOf, namesOf, usageOf } from './command.ts';
import { allCommands, commandsOf, groupNames } from './commands.ts';
import { readOptions, wordsOf, wrongOption } from './options.ts';
import { listItem } from './terminal.ts';

/** Runs one command. Resolves with the exit code: 0 success, 1 failure, 2 wrong usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const unread = outputUnread();
  const given = wordsOf(args);
  const words = given[0] === 'help' ? given.slice(1) : given;
  const flags = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined);
  if (flags.some((flag) => flag === '--version' || flag === '-V')) return print(`${packageVersion()}\n`);
  const wantsHelp = given[0] === 'help' || flags.some((flag) => flag === '--help' || flag === '-h');
  const group = await commandsOf(words[0]);
  const command = find(group, words);
  if (wantsHelp) return help(words, command === undefined ? group : [command]);
  if (command === undefined) return complain(wrongOption(args) ?? complaintAbout(args, words, group), await helpFor(group));
  return call(command, { args, unread }).catch((thrown) => explain(thrown, command));
}

/** The command whose name is the first one or two words. */
function find(group: readonly Command[], words: readonly string[]): Command | undefined {
  const line = words.join(' ');
  return group.find(({ name }) => line === name || line.startsWith(`${name} `));
}

async function help(words: readonly string[], asked: readonly Command[]): Promise<number> {
  if (asked.length > 0) return print(helpOf(asked));
  const commands = await allCommands();
  return words.length === 0 ? print(usageOf(commands)) : complain(complaintAbout([], words, []), namesOf(commands));
}

async function helpFor(group: readonly Command[]): Promise<string> {
  return group.length > 0 ? helpOf(group) : namesOf(await allCommands());
}

/** The error message if no command was found. */
function complaintAbout(args: readonly string[], words: readonly string[], commands: readonly Command[]): string {
  const [group, verb] = words;
  if (group === undefined) return args.length === 0 ? 'a command is missing' : `a command is missing before ${args[0]}`;
  const verbs = commands.map(({ name }) => name.slice(group.length + 1));
  const guess = (word: string, known: Iterable<string>): string => {
    const near = nearest(word, known);
    return near === undefined ? '' : `; did you mean "${near}"?`;
  };
  if (verbs.length > 0 && verb === undefined) return `"${group}" needs one of ${verbs.join(', ')}`;
  if (verbs.length > 0) return `unknown command "${group} ${verb}", expected one of ${verbs.join(', ')}${guess(verb ?? '', verbs)}`;
  return `unknown command "${group}"${guess(group, groupNames)}`;
}

const noOperands: Operands = { least: 0, most: 0 };

async function call(
  command: Command,
  { args, unread }: { readonly args: readonly string[]; readonly unread: AbortSignal },
): Promise<number> {
  const { name, options, operands: takes = noOperands } = command;
  const { values, positionals } = readOptions(args, options);
  const operands = positionals.slice(name.split(' ').length);
  const stray = operands[takes.most];
  if (stray !== undefined) throw new ServiceError('USAGE', `unexpected argument after "${name}": ${stray}`);
  if (operands.length < takes.least) throw new ServiceError('USAGE', `missing argument: ${command.synopsis.split(' ', 1)[0]}`);
  const wrong = operands.find((operand) => takes.choices !== undefined && !takes.choices.includes(operand));
  if (wrong !== undefined) throw new ServiceError('USAGE', `received ${JSON.stringify(wrong)}, expected ${takes.choices?.join(', ')}`);
  return await command.run({ values, operands, unread });
}

/**
 * The reader of the output decides how much of it is needed, so output without a reader (EPIPE) is no failure. The command continues: it may be
 * changing something, and the service must not end with the reader of its log.
 */
function outputUnread(): AbortSignal {
  const unread = new AbortController();
  process.stdout.on('error', (error) => {
    ignoreUnread(error);
    unread.abort();
  });
  process.stderr.on('error', ignoreUnread);
  for (const output of [process.stdout, process.stderr]) output.on('unpipe', discard);
  return unread.signal;
}

/** What a thread prints would be kept in memory until its output is read. */
function discard(printed: Readable): void {
  printed.resume();
}

/** Rethrows an error of an output, unless its reader has ended. */
function ignoreUnread(error: Error): void {
  if (!('code' in error && error.code === 'EPIPE')) throw error;
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

/** Every mistake as a list item. */
export function renderMistakes(mistakes: readonly Mistake[]): string {
  return mistakes.map((mistake) => `${listItem(mistakeLine(mistake))}\n`).join('');
}
