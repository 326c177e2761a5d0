import type { OptionName, OptionValues } from './options.ts';

/** One command of the command line. */
export interface Command {
  /** One or two words. */
  readonly name: string;
  /** What may stand behind the name, for the usage. */
  readonly synopsis: string;
  /** What it does, in a line. */
  readonly does: string;
  /** Words that may stand behind the name, at least and at most. */
  readonly operands?: { readonly least: number; readonly most: number };
  readonly options: readonly OptionName[];
  /** Resolves with the exit code. */
  run(call: Call): Promise<number>;
}

/** How a command was called; that it takes what was given has been checked. */
export interface Call {
  readonly values: OptionValues;
  readonly operands: readonly string[];
}
