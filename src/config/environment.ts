/** Environment variables by name, passed as a value to the loader and the commands. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The only function that reads the environment of the process. */
export function readEnvironment(): Environment {
  return process.env;
}

/** The configuration file to read: `--config`, else `$EVENT_PUSHER_CONFIG`, else `event-pusher.toml` in the working directory. */
export function locateConfig(option: string | undefined, env: Environment): string {
  const fromEnvironment = env['EVENT_PUSHER_CONFIG'];
  if (option !== undefined) return option;
  return fromEnvironment !== undefined && fromEnvironment !== '' ? fromEnvironment : 'event-pusher.toml';
}
