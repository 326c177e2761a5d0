#!/usr/bin/env node
import { ConfigInvalid } from '../config/mistakes.ts';
/** The command line. Exit codes: 0 well, 1 failed, 2 wrong usage. */
import { nearest } from '../config/nearest.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { packageVersion } from '../kit/version.ts';
import { renderMistakes } from './check.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { type OptionValues, readOptions } from './options.ts';
import { usageOf } from './usage.ts';

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = readOptions(args);
  if (values.version === true) return print(`${packageVersion()}\n`);
  if (values.help === true || positionals[0] === 'help') return print(usageOf(commands));

  const command = find(positionals);
  const operands = positionals.slice(command.name.split(' ').length);
  refuseStrays(command, { values, operands });
  return command.run({ values, operands });
}

function find(words: readonly string[]): Command {
  if (words.length === 0) throw new ServiceError('USAGE', 'a command is missing');
  const line = words.join(' ');
  const found = commands.find(({ name }) => line === name || line.startsWith(`${name} `));
  if (found !== undefined) return found;

  const [group = '', verb] = words;
  const verbs = commands.flatMap(({ name }) => (name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : []));
  if (verbs.length > 0)
    throw new ServiceError('USAGE', `"${group}" wants one of ${verbs.join(', ')}${verb === undefined ? '' : `, not "${verb}"`}`);
  const near = nearest(group, new Set(commands.map(({ name }) => name.split(' ', 1)[0] ?? '')));
  throw new ServiceError('USAGE', `there is no command "${group}"${near === undefined ? '' : `; did you mean "${near}"?`}`);
}

function refuseStrays({ name, options, operands: taken }: Command, given: { values: OptionValues; operands: readonly string[] }): void {
  const { least, most } = taken ?? { least: 0, most: 0 };
  const stray = given.operands[most] ?? Object.keys(given.values).find((option) => !options.some((known) => known === option));
  if (stray !== undefined) throw new ServiceError('USAGE', `"${name}" does not take "${stray}"`);
  if (given.operands.length < least) throw new ServiceError('USAGE', `"${name}" wants a name or an id behind it`);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function explain(thrown: unknown): number {
  const error = toError(thrown);
  if (error instanceof ConfigInvalid) {
    const [summary = ''] = error.message.split('\n', 1);
    process.stderr.write(`event-pusher: ${summary}\n${renderMistakes(error.mistakes)}`);
    return 1;
  }
  const isUsage = error instanceof ServiceError && error.code === 'USAGE';
  process.stderr.write(isUsage ? `event-pusher: ${error.message}\n\n${usageOf(commands)}` : `event-pusher: ${error.message}\n`);
  if (!(error instanceof ServiceError)) process.stderr.write(`${error.stack ?? ''}\n`);
  return isUsage ? 2 : 1;
}

process.exit(await main(process.argv.slice(2)).catch(explain));
