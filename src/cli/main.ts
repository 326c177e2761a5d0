#!/usr/bin/env node
/** The command line. Exit codes: 0 well, 1 failed, 2 wrong usage. */
import { parseArgs } from 'node:util';
import { readEnvironment } from '../config/environment.ts';
import { locateConfig } from '../config/locate.ts';
import { ConfigInvalid } from '../config/mistakes.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { packageVersion } from '../kit/version.ts';
import { renderMistakes } from './check.ts';
import { checkCommand } from './check-command.ts';
import { demo } from './demo.ts';
import { run } from './run.ts';

const usage = `Usage: event-pusher COMMAND [OPTIONS]

  run    [--config FILE]            runs the service until SIGTERM or SIGINT; SIGHUP reads the file anew
  check  [--config FILE] [--json]   validates the configuration, loads the callback modules, and prints what they come to
  demo   [--once] [--scripted]      a whole working example on this machine, with nothing prepared

  --help, --version

FILE: --config, else $EVENT_PUSHER_CONFIG, else event-pusher.toml in the working directory.
`;

const options = {
  config: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  once: { type: 'boolean' },
  scripted: { type: 'boolean' },
  version: { type: 'boolean' },
} as const;

/** Which options each command takes. */
const commands: Readonly<Record<string, readonly (keyof typeof options)[]>> = {
  check: ['config', 'json'],
  demo: ['once', 'scripted'],
  run: ['config'],
};

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  const [command, ...rest] = positionals;
  if (values.version === true) return print(`${packageVersion()}\n`);
  if (values.help === true || command === 'help') return print(usage);

  const allowed = commands[command ?? ''];
  if (command === undefined) throw new ServiceError('USAGE', 'a command is missing');
  if (allowed === undefined) throw new ServiceError('USAGE', `there is no command "${command}"`);
  const stray = rest[0] ?? Object.keys(values).find((name) => !allowed.some((known) => known === name));
  if (stray !== undefined) throw new ServiceError('USAGE', `"${command}" does not take "${stray}"`);

  switch (command) {
    case 'check':
      return checkCommand({ file: locateConfig(values.config, readEnvironment()), json: values.json === true });
    case 'demo':
      return demo({ once: values.once === true, scripted: values.scripted === true });
    default:
      return run({ file: locateConfig(values.config, readEnvironment()) });
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (thrown) {
    throw new ServiceError('USAGE', toError(thrown).message);
  }
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
  process.stderr.write(isUsage ? `event-pusher: ${error.message}\n\n${usage}` : `event-pusher: ${error.message}\n`);
  if (!(error instanceof ServiceError)) process.stderr.write(`${error.stack ?? ''}\n`);
  return isUsage ? 2 : 1;
}

process.exit(await main(process.argv.slice(2)).catch(explain));
