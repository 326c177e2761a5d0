import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { ServiceError, toError } from '../kit/errors.ts';
import { isSecretKey } from './mistakes.ts';
import type { Table } from './table.ts';

/** Reads a TOML file as it stands. Throws CONFIG_UNREADABLE: no such file, no permission, or not TOML. */
export async function readToml(file: string): Promise<Table> {
  const text = await readText(file);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new ServiceError('CONFIG_UNREADABLE', syntaxMessage(file, error)); // no cause: it quotes the file, secrets and all
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new ServiceError('CONFIG_UNREADABLE', `cannot read the configuration ${file}: ${reasonOf(toError(cause))}`, { cause });
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EACCES':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a directory';
    case 'ENOENT':
      return 'there is no such file. Looked at: --config FILE, then $EVENT_PUSHER_CONFIG, then event-pusher.toml in the working directory';
    default:
      return error.message;
  }
}

function syntaxMessage(file: string, error: TomlError): string {
  const what = error.message.split('\n', 1).join('').replace('Invalid TOML document: ', '');
  const excerpt = error.codeblock.trimEnd().split('\n').map(withoutSecret);
  return [`${file} is not TOML: line ${error.line}, column ${error.column}: ${what}`, ...excerpt.map((line) => `  ${line}`)].join('\n');
}

/** A line of the excerpt; what stands behind the `=` of a key that names a secret is left out. */
function withoutSecret(line: string): string {
  const equals = line.indexOf('=');
  return equals >= 0 && isSecretKey(line.slice(0, equals)) ? `${line.slice(0, equals)}= [redacted]` : line;
}
