/** Variables of the process by name; the loader and the command line take it as a value. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The only place where the service reads the environment of its process. */
export function readEnvironment(): Environment {
  return process.env;
}
