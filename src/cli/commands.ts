import { demo } from '../../demo/demo.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { checkCommand } from './check.ts';
import type { Call, Command } from './command.ts';
import { completionCommand } from './completion.ts';
import { deadLetterCommands } from './dead-letters.ts';
import { eventCommands } from './events.ts';
import { initCommand } from './init.ts';
import { orphanCommands } from './orphans.ts';
import { poolCommands } from './pools.ts';
import { run } from './run.ts';
import { sendTestCommand } from './send-test.ts';
import { spoolCommands } from './spool.ts';
import { statusCommand } from './status.ts';
import { tryCommand } from './try.ts';

/** All commands in the order of the usage. */
export const commands: readonly Command[] = [
  {
    name: 'run',
    synopsis: '[--config FILE]',
    description: 'runs the service until SIGTERM or SIGINT; SIGHUP reloads the file',
    options: ['config'],
    run: (call) => run({ file: fileOf(call) }),
  },
  initCommand,
  {
    name: 'check',
    synopsis: '[--online] [--config FILE] [--json]',
    description: 'validates the configuration and its callback modules, and prints it; --online connects, too',
    options: ['config', 'json', 'online'],
    run: (call) => checkCommand({ file: fileOf(call), json: call.values.json === true, online: call.values.online === true }),
  },
  {
    name: 'demo',
    synopsis: '[--once] [--scripted]',
    description: 'runs a working example on this machine; --once ends after it, --scripted needs no chat server',
    options: ['once', 'scripted'],
    run: ({ values }) => demo({ once: values.once === true, scripted: values.scripted === true }),
  },
  statusCommand,
  ...poolCommands,
  ...eventCommands,
  ...deadLetterCommands,
  ...orphanCommands,
  sendTestCommand,
  tryCommand,
  ...spoolCommands,
  completionCommand(() => commands),
];

function fileOf({ values }: Call): string {
  return locateConfig(values.config, readEnvironment());
}
