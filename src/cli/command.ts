import type { OptionName, OptionValues } from './options.ts';

/** One command of the command line. */
export interface Command {
  /** One or two words. */
  readonly name: string;
  /** The arguments after the name, for the usage. */
  readonly synopsis: string;
  /** A description in one line. */
  readonly description: string;
  readonly operands?: Operands;
  readonly options: readonly OptionName[];
  /** Resolves with the exit code. */
  run(call: Call): Promise<number>;
}

/** The arguments without a dash. */
export interface Operands {
  readonly least: number;
  readonly most: number;
  /** The permitted values; without it, every value is. */
  readonly choices?: readonly string[];
  /** Whether they are names of files. */
  readonly files?: true;
}

/** The checked arguments of a command. */
export interface Call {
  readonly values: OptionValues;
  readonly operands: readonly string[];
  /** Aborted when the reader of the output has ended (`| head`): a command that does not end by itself ends then. */
  readonly unread: AbortSignal;
}

/** The meaning of each placeholder in a synopsis. */
const glossary: Readonly<Record<string, string>> = {
  FILE: '--config, else $EVENT_PUSHER_CONFIG, else event-pusher.toml in the working directory.',
  SERVICE: `[--config FILE], whose service must be running, or [--url URL] [--token TOKEN]; [--json];
         with TLS also [--ca FILE] [--cert FILE --key FILE]`,
  FILTER: `[--pool NAME] [--handler NAME] [--host HOST] [--reason REASON] [--detail TEXT]
         [--since TIME] [--before TIME]: all given options must match; TEXT is the whole error as
         "dead-letters groups" shows it, the times are times of death.`,
  SEARCH: `[--id ID] [--jid JID] [--stanza-id ID] [--handler NAME] [--pool NAME] [--host HOST]
         [--state STATE] [--status CODE] [--since TIME] [--before TIME]: all given options must
         match; --stanza-id is the id of the stanza or its archive id; the times are those of the
         last change of state.`,
  STATE: 'waiting, delivered, dead, withheld or dropped.',
  REASON: `attempts-exhausted, callback-blocked, callback-failed, chain-failed, expired,
         internal-error, overflow or refused.`,
  KEY: '--key-file PATH or --key-env NAME, which contain one signing key, or one on each line.',
  PATH: `a file, or - for standard input. Without --body, the body is that in --request, or else
         standard input.`,
  SHELL: 'bash, fish or zsh.',
  TIME: '2026-11-22T06:00:00Z, "2026-11-22 06:00" in local time, or an age: 30m, 2h, 7d.',
};

/** The usage of all commands. */
export function usageOf(commands: readonly Command[]): string {
  return `Usage: event-pusher COMMAND [OPTIONS]

${commands.map(explained).join('')}
  --help, -h, also after a command; --version, -V

${explainedWords(Object.keys(glossary))}`;
}

/** The usage of one command, or of all commands with the same first word. */
export function helpOf(commands: readonly Command[]): string {
  const [only, ...others] = commands;
  if (only === undefined || others.length > 0) return `Usage:\n\n${commands.map(explained).join('')}\n${explainedWords(wordsIn(commands))}`;
  const words = explainedWords(wordsIn(commands));
  return `Usage: event-pusher ${called(only)}\n\n  ${only.description}\n${words === '' ? '' : `\n${words}`}`;
}

/** The list of commands, printed if the command is missing or unknown. */
export function namesOf(commands: readonly Command[]): string {
  const groups = new Map<string, string[]>();
  for (const { name } of commands) {
    const [group = '', ...verb] = name.split(' ');
    groups.set(group, [...(groups.get(group) ?? []), ...verb]);
  }
  const names = Array.from(groups, ([group, verbs]) => `  ${[group, verbs.join('|')].join(' ').trim()}\n`);
  return `Usage: event-pusher COMMAND [OPTIONS]\n"event-pusher --help" explains all commands, "event-pusher COMMAND --help" one of them.\n\n${names.join('')}`;
}

function called({ name, synopsis }: Command): string {
  return [name, synopsis].join(' ').trim();
}

function explained(command: Command): string {
  return `  ${called(command)}\n      ${command.description}\n`;
}

/** The placeholders of a synopsis, and those of their explanations. */
function wordsIn(commands: readonly Command[]): readonly string[] {
  const mentioned = (text: string): readonly string[] => Object.keys(glossary).filter((word) => new RegExp(`\\b${word}\\b`).test(text));
  const direct = mentioned(commands.map(({ synopsis }) => synopsis).join(' '));
  const all = new Set([...direct, ...direct.flatMap((word) => mentioned(glossary[word] ?? ''))]);
  return Object.keys(glossary).filter((word) => all.has(word));
}

function explainedWords(words: readonly string[]): string {
  return words.map((word) => `${`${word}:`.padEnd(9)}${glossary[word]}\n`).join('');
}
