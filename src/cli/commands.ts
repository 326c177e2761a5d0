import type { Command } from './command.ts';

const demoCommand: Command = {
  name: 'demo',
  synopsis: '[--once] [--scripted]',
  description: 'runs a working example on this machine; --once ends after it, --scripted needs no chat server',
  options: ['once', 'scripted'],
  run: async ({ values }) => {
    const { demo } = await import('../../demo/demo.ts');
    return demo({ once: values.once === true, scripted: values.scripted === true });
  },
};

/**
 * The commands by the first word of their names, in the order of the usage. Only the module of the given command is loaded: loading
 * all of them would take longer than most commands run.
 */
const groups: ReadonlyMap<string, () => Promise<readonly Command[]>> = new Map([
  ['run', async () => [(await import('./run.ts')).runCommand]],
  ['init', async () => [(await import('./init.ts')).initCommand]],
  ['check', async () => [(await import('./check.ts')).checkCommand]],
  ['demo', async () => [demoCommand]],
  ['status', async () => [(await import('./status.ts')).statusCommand]],
  ['pools', async () => (await import('./pools.ts')).poolCommands],
  ['events', async () => (await import('./events.ts')).eventCommands],
  ['tail', async () => [(await import('./tail.ts')).tailCommand]],
  ['dead-letters', async () => (await import('./dead-letters.ts')).deadLetterCommands],
  ['orphans', async () => (await import('./orphans.ts')).orphanCommands],
  ['erase', async () => [(await import('./erase.ts')).eraseCommand]],
  ['send-test', async () => [(await import('./send-test.ts')).sendTestCommand]],
  ['try', async () => [(await import('./try.ts')).tryCommand]],
  ['spool', async () => (await import('./spool.ts')).spoolCommands],
  ['keys', async () => (await import('./keys.ts')).keyCommands],
  ['completion', async () => [(await import('./completion.ts')).completionCommand(allCommands)]],
]);

/** The first words of the commands, such as `pools`. */
export const groupNames: readonly string[] = [...groups.keys()];

/** The commands with the given first word; none if it is unknown. */
export async function commandsOf(group: string | undefined): Promise<readonly Command[]> {
  return (await groups.get(group ?? '')?.()) ?? [];
}

export async function allCommands(): Promise<readonly Command[]> {
  return (await Promise.all(groupNames.map(commandsOf))).flat();
}
