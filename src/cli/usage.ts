import type { Command } from './command.ts';

/** The whole usage, made from the commands. */
export function usageOf(commands: readonly Command[]): string {
  const told = commands.map(({ name, synopsis, does }) => `  ${[name, synopsis].join(' ').trim()}\n      ${does}\n`);
  return `Usage: event-pusher COMMAND [OPTIONS]

${told.join('')}
  --help, --version

FILE:    --config, else $EVENT_PUSHER_CONFIG, else event-pusher.toml in the working directory.
SERVICE: the running service that FILE configures: [--config FILE], or [--url URL] [--token TOKEN]. And [--json].
FILTER:  [--pool NAME] [--handler NAME] [--host HOST] [--reason REASON] [--since TIME] [--before TIME]: all must hold.
TIME:    when it died: 2026-11-22T06:00:00Z, "2026-11-22 06:00" of this machine's time, or how long ago: 30m, 2h, 7d.
`;
}
