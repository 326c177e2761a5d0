/** Whether a service could open the spool, found without opening it: nothing is created that stays. */
import { accessSync, constants, lstatSync, mkdtempSync, rmdirSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { SpoolConfig } from '../config/config.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { historyFolder } from './history/segments.ts';
import { readInfo, type SpoolInfo } from './inspect.ts';
import { damageText, isDamage } from './sqlite/errors.ts';
import { refuseNetworkFileSystem, refuseOtherThanFile } from './sqlite/file.ts';

/** Files that SQLite and the service keep next to the spool. */
const sideFiles = ['.lock', '.count', '-wal', '-shm'];

/**
 * Contents of the spool's file, if there is one, and `busy` while another process keeps it locked. Throws SPOOL_OPEN_FAILED, SPOOL_TOO_NEW,
 * SPOOL_NETWORK_FILE_SYSTEM or SPOOL_DAMAGED if a service of the same user could not start with the spool.
 */
export function requireUsable(spool: SpoolConfig, history: { readonly hasHistory: boolean }): SpoolInfo | 'busy' | undefined {
  refuseUnusable(spool, history);
  try {
    return spool.engine === 'sqlite' ? readInfo(spool.path) : undefined;
  } catch (thrown) {
    const { cause } = toError(thrown);
    if (isBusy(cause)) return 'busy';
    if (isDamage(cause))
      throw new ServiceError('SPOOL_DAMAGED', `cannot use the spool at ${spool.path}: ${damageText(toError(cause).message)}`);
    throw thrown;
  }
}

function isBusy(cause: unknown): boolean {
  return cause instanceof Database.SqliteError && cause.code.startsWith('SQLITE_BUSY');
}

/**
 * Throws SPOOL_OPEN_FAILED or SPOOL_NETWORK_FILE_SYSTEM if a service of the same user could not open the spool's file or its history. The
 * contents of the file, and its lock, are left to others.
 */
function refuseUnusable({ engine, path }: SpoolConfig, { hasHistory }: { readonly hasHistory: boolean }): void {
  if (engine !== 'sqlite') return;
  refuseFolder(dirname(path));
  refuseOtherThanFile(path);
  for (const file of [path, ...sideFiles.map((suffix) => path + suffix)]) refuseFile(file);
  if (hasHistory && lstatSync(historyFolder(path), { throwIfNoEntry: false }) !== undefined) refuseHistory(historyFolder(path));
}

/** Tries to create a folder in it, or in the nearest folder above that exists: permissions alone do not show a full or read-only disk. */
function refuseFolder(folder: string): void {
  const existing = nearestExisting(folder);
  try {
    tryToCreateIn(existing);
  } catch (thrown) {
    const what = existing === folder ? `write to the spool's folder ${folder}` : `create the spool's folder ${folder}`;
    throw unusable(`cannot ${what}: ${toError(thrown).message}`, 'choose another [spool] path');
  }
  refuseNetworkFileSystem(existing);
}

function nearestExisting(folder: string): string {
  return found(folder) === undefined && dirname(folder) !== folder ? nearestExisting(dirname(folder)) : folder;
}

/** Undefined also below a file, which is then what exists. */
function found(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (thrown) {
    const error: NodeJS.ErrnoException = toError(thrown);
    if (error.code === 'ENOTDIR') return undefined;
    throw unusable(`cannot read the spool's folder ${path}: ${error.message}`, 'choose another [spool] path');
  }
}

function tryToCreateIn(folder: string): void {
  if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a directory`);
  rmdirSync(mkdtempSync(join(folder, '.event-pusher-check-')));
}

function refuseFile(path: string): void {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  if (entry === undefined) return;
  const target = statSync(path, { throwIfNoEntry: false });
  if (target === undefined) throw unusable(`${path} is a symbolic link to a file that does not exist`, 'remove it');
  if (!target.isFile())
    throw unusable(`${path} is not a regular file`, 'the spool needs this name: remove it, or choose another [spool] path');
  if (!isOwn(target)) throw unusable(`${path} belongs to another user`, 'give it to the user of the service');
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (thrown) {
    throw unusable(`cannot write to ${path}: ${toError(thrown).message}`, 'give it to the user of the service');
  }
}

/** Root, or the owner, may change the mode of a file, as each start does. */
function isOwn({ uid }: Stats): boolean {
  const user = process.geteuid?.() ?? 0;
  return user === 0 || user === uid;
}

function refuseHistory(folder: string): void {
  try {
    tryToCreateIn(folder);
  } catch (thrown) {
    throw unusable(`cannot write the history to ${folder}: ${toError(thrown).message}`, 'remove it, or set [history] enabled = false');
  }
}

function unusable(what: string, remedy: string): ServiceError {
  return new ServiceError('SPOOL_OPEN_FAILED', `${what}; ${remedy}`);
}
