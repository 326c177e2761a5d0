import { isSecretKey } from './mistakes.ts';
import type { Path } from './table.ts';

/**
 * Keys whose values are addresses, names of things or names of files: logs, metrics and commands show them, also if
 * they come from a reference. Every other value of a reference is a secret.
 */
const publicKeys: ReadonlySet<string> = new Set([
  ...['allow', 'default_host', 'domain', 'host', 'host_type', 'hosts', 'listen', 'origins', 'service'],
  ...['from', 'jid', 'reply_from', 'rooms', 'to'],
  ...['bcamappl', 'callback_module', 'http_exit', 'name', 'pool_name', 'send_through', 'tac'],
  ...['cacertfile', 'certfile', 'crl_files', 'keyfile', 'users_file'],
  ...['client', 'engine', 'feed', 'loglevel', 'ordering', 'overflow', 'scope', 'strategy', 'type'],
]);

/** Keys that hold durations and sizes. */
const measure = /(timeout|interval|_max|_age|_bytes|_size|_free)$|^(hold|max_open|open|per|schedule|ttl|window)$/;

/** Whether the value at a path of the configuration file may be printed. */
export function isPublicPlace(path: Path): boolean {
  const keys = path.filter((step) => typeof step === 'string');
  if (keys.includes('options') || isSecretPlace(path)) return false;
  const key = keys.at(-1) ?? '';
  const isSpoolFile = keys[0] === 'spool' && key === 'path';
  return isSpoolFile || publicKeys.has(key) || measure.test(key) || keys.includes('listen');
}

/** Whether the text at a path is a secret even if it is written in the file. */
export function isSecretPlace(path: Path): boolean {
  const keys = path.filter((step) => typeof step === 'string');
  const isPassword = keys[0] === 'attach' && keys[2] === 'users';
  return isPassword || isSecretKey(keys.at(-1) ?? '');
}
