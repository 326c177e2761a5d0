/** Completion for shells, made of the table of commands: the words that may follow, and the options with the kind of their values. */
import type { Command } from './command.ts';
import { type OptionName, optionFlag, takesValue } from './options.ts';

export const shells = ['bash', 'fish', 'zsh'] as const;

type Shell = (typeof shells)[number];

/** `commands`: resolves with all commands, this one among them. */
export function completionCommand(commands: () => Promise<readonly Command[]>): Command {
  return {
    name: 'completion',
    synopsis: 'SHELL',
    description: 'prints the completion of a shell; see the page of the command line for its installation',
    operands: { least: 1, most: 1, choices: shells },
    options: [],
    run: async ({ operands: [given] }) => {
      const shell = shells.find((name) => name === given) ?? 'bash';
      process.stdout.write(scriptFor(shell, await commands()));
      return 0;
    },
  };
}

export function scriptFor(shell: Shell, commands: readonly Command[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(commands);
    case 'fish':
      return fishScript(commands);
    case 'zsh':
      return zshScript(commands);
    default:
      return shell satisfies never;
  }
}

/** Names under which the program is installed. */
const programs = ['event-pusher', 'xmpp-event-pusher'];

/** Words that may follow others. */
interface Step {
  /** The words so far, without options; empty at the beginning. */
  readonly after: string;
  readonly words: readonly { readonly word: string; readonly description: string }[];
}

/** The first words of the commands, and the second words of those that have two. */
function stepsOf(commands: readonly Command[]): readonly Step[] {
  const groups = new Map<string, Command[]>();
  for (const command of commands) {
    const [group = ''] = command.name.split(' ');
    groups.set(group, [...(groups.get(group) ?? []), command]);
  }
  const first = Array.from(groups, ([word, members]) => ({ word, description: describe(members) }));
  const second = Array.from(groups)
    .filter(([group, [member]]) => member?.name !== group)
    .map(([group, members]) => ({
      after: group,
      words: members.map(({ name, description }) => ({ word: name.slice(group.length + 1), description })),
    }));
  return [{ after: '', words: first }, ...second];
}

function describe(members: readonly Command[]): string {
  const [only, ...others] = members;
  if (only === undefined) return '';
  return others.length === 0 ? only.description : members.map(({ name }) => name.split(' ')[1]).join(', ');
}

function flagsOf(options: readonly OptionName[]): string {
  return [...options.map(optionFlag), '--help'].join(' ');
}

/** Options that a file name follows. */
const fileOptions: ReadonlySet<OptionName> = new Set(['body', 'config', 'key-file', 'request']);

function valueFlags(commands: readonly Command[]): { readonly files: readonly string[]; readonly others: readonly string[] } {
  const names = [...new Set(commands.flatMap(({ options }) => options))].filter(takesValue).toSorted();
  const flags = (wanted: boolean) => names.filter((name) => fileOptions.has(name) === wanted).map(optionFlag);
  return { files: flags(true), others: flags(false) };
}

/** Shells quote these texts in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bashScript(commands: readonly Command[]): string {
  const { files, others } = valueFlags(commands);
  const steps = stepsOf(commands).map(
    ({ after, words }) => `    ${quoted(after)}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`,
  );
  const ends = commands.map(({ name, options, operands }) => {
    const words = [flagsOf(options), ...(operands?.choices ?? [])].join(' ');
    return `    ${quoted(name)}|${quoted(`${name} `)}*) words=${quoted(words)}${operands?.files === true ? ' files=yes' : ''} ;;`;
  });
  return `# Completion of event-pusher for bash
_event_pusher() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}" command='' words='' files='' skips='' word
  COMPREPLY=()
  case "$previous" in
    ${files.join('|')}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    ${others.join('|')}) return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
    if [[ -n $skips ]]; then skips=''; continue; fi
    case "$word" in
      ${[...files, ...others].join('|')}) skips=yes ;;
      -*) ;;
      *) command+="\${command:+ }$word" ;;
    esac
  done
  case "$command" in
${[...steps, ...ends].join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ -n $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _event_pusher ${programs.join(' ')}
`;
}

function zshScript(commands: readonly Command[]): string {
  const { files, others } = valueFlags(commands);
  const list = (words: Step['words']) =>
    words.map(({ word, description }) => quoted(`${word}:${description.replaceAll(':', '\\:')}`)).join(' ');
  const steps = stepsOf(commands).map(({ after, words }) => `    (${quoted(after)}) list=(${list(words)}); _describe command list ;;`);
  const ends = commands.map(({ name, options, operands }) => {
    const choices = operands?.choices === undefined ? '' : `; compadd -- ${operands.choices.join(' ')}`;
    return `    (${quoted(name)}|${quoted(`${name} `)}*) compadd -- ${flagsOf(options)}${choices}${operands?.files === true ? '; _files' : ''} ;;`;
  });
  return `#compdef ${programs.join(' ')}
_event_pusher() {
  local command='' skips='' word
  local -a list
  case "\${words[CURRENT - 1]}" in
    (${files.join('|')}) _files; return ;;
    (${others.join('|')}) return ;;
  esac
  for word in "\${(@)words[2,CURRENT - 1]}"; do
    if [[ -n $skips ]]; then skips=''; continue; fi
    case "$word" in
      (${[...files, ...others].join('|')}) skips=yes ;;
      (-*) ;;
      (*) command+="\${command:+ }$word" ;;
    esac
  done
  case "$command" in
${[...steps, ...ends].join('\n')}
  esac
}
if [[ "\${funcstack[1]}" == _event_pusher ]]; then _event_pusher "$@"; else compdef _event_pusher ${programs.join(' ')}; fi
`;
}

function fishScript(commands: readonly Command[]): string {
  const { files, others } = valueFlags(commands);
  const line = (program: string, condition: string, rest: string) => `complete -c ${program} -n ${quoted(condition)} ${rest}`;
  const steps = stepsOf(commands).flatMap(({ after, words }) =>
    words.map(({ word, description }) => [`__event_pusher_at ${quoted(after)}`, `-a ${word} -d ${quoted(description)}`] as const),
  );
  const ends = commands.flatMap(({ name, options, operands }) => {
    const condition = `__event_pusher_in ${quoted(name)}`;
    const flags = options.map(
      (option) => [condition, `-l ${option}${takesValue(option) ? (fileOptions.has(option) ? ' -rF' : ' -x') : ''}`] as const,
    );
    const choices = operands?.choices === undefined ? [] : [[condition, `-a ${quoted(operands.choices.join(' '))}`] as const];
    return [...flags, ...choices, ...(operands?.files === true ? [[condition, '-F'] as const] : [])];
  });
  return `# Completion of event-pusher for fish
function __event_pusher_command
  set -l command
  set -l skips no
  set -l tokens (commandline -opc)
  for word in $tokens[2..-1]
    if test $skips = yes
      set skips no
    else if contains -- $word ${[...files, ...others].join(' ')}
      set skips yes
    else if not string match -q -- '-*' $word
      set -a command $word
    end
  end
  string join ' ' $command
end
function __event_pusher_at
  test (__event_pusher_command | string collect -a) = "$argv[1]"
end
function __event_pusher_in
  set -l command (__event_pusher_command | string collect -a)
  test "$command" = "$argv[1]"; or string match -q -- "$argv[1] *" "$command"
end
${programs.flatMap((program) => [`complete -c ${program} -f`, ...[...steps, ...ends].map(([condition, rest]) => line(program, condition, rest))]).join('\n')}
`;
}
