import type { Environment } from './environment.ts';

/** The configuration file to read: `--config`, else `$EVENT_PUSHER_CONFIG`, else `event-pusher.toml` in the working directory. */
export function locateConfig(option: string | undefined, env: Environment): string {
  const fromEnvironment = env['EVENT_PUSHER_CONFIG'];
  if (option !== undefined) return option;
  return fromEnvironment !== undefined && fromEnvironment !== '' ? fromEnvironment : 'event-pusher.toml';
}
