import type { Command } from './command.ts';

/** The whole usage, made from the commands. */
export function usageOf(commands: readonly Command[]): string {
  const told = commands.map(({ name, synopsis, does }) => `  ${[name, synopsis].join(' ').trim()}\n      ${does}\n`);
  return `Usage: event-pusher COMMAND [OPTIONS]

${told.join('')}
  --help, --version

FILE:    --config, else $EVENT_PUSHER_CONFIG, else event-pusher.toml in the working directory.
SERVICE: [--config FILE], whose service must be running, or [--url URL] [--token TOKEN]; [--json]
FILTER:  [--pool NAME] [--handler NAME] [--host HOST] [--reason REASON] [--since TIME]
         [--before TIME]: all that are given must hold, the times for when it died.
TIME:    2026-11-22T06:00:00Z, "2026-11-22 06:00" of this machine's time, or an age: 30m, 2h, 7d.
`;
}
