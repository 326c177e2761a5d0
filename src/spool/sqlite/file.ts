import { chmodSync, closeSync, existsSync, fchownSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { ServiceError, toError } from '../../kit/errors.ts';

/** The type magic of the file system that holds a folder (`statfs(2)`). */
export type FileSystemOf = (folder: string) => number;

/**
 * File systems whose locks and shared memory do not reach every machine that mounts them (`linux/magic.h`). FUSE is not
 * listed: most FUSE file systems are local, and the magic does not show the file system behind it.
 */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0xff534d42, 'CIFS'],
  [0x73757245, 'Coda'],
  [0x01161970, 'GFS2'],
  [0x0bd00bd0, 'Lustre'],
  [0x6969, 'NFS'],
  [0x7461636f, 'OCFS2'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB2'],
]);

/**
 * Creates the spool's folder (0700) if it is missing. Throws SPOOL_NETWORK_FILE_SYSTEM with the file system's name,
 * SPOOL_OPEN_FAILED if the folder cannot be created or the path is not that of a file.
 */
export function prepareFolder(path: string, fileSystemOf: FileSystemOf = systemFileSystemOf): void {
  const folder = dirname(path);
  try {
    createFolder(folder);
  } catch (cause) {
    const message = `cannot create the spool's folder ${folder}: ${toError(cause).message}; choose another [spool] path`;
    throw new ServiceError('SPOOL_OPEN_FAILED', message, { cause });
  }
  refuseOtherThanFile(path);
  refuseNetworkFileSystem(folder, fileSystemOf);
}

/** Throws SPOOL_NETWORK_FILE_SYSTEM with the file system's name. */
export function refuseNetworkFileSystem(folder: string, fileSystemOf: FileSystemOf = systemFileSystemOf): void {
  const name = networkFileSystems.get(fileSystemOf(folder));
  if (name === undefined) return;
  throw new ServiceError(
    'SPOOL_NETWORK_FILE_SYSTEM',
    `the spool's folder ${folder} is on ${name}, a network file system, where SQLite cannot guarantee durability: choose a local disk`,
  );
}

/** `mkdir` with `recursive` never returns if the file system cannot create folders, as below `/proc`. */
function createFolder(folder: string): void {
  if (existsSync(folder)) {
    if (statSync(folder).isDirectory()) return;
    throw new Error(`${folder} is not a directory`);
  }
  if (dirname(folder) !== folder) createFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

function systemFileSystemOf(folder: string): number {
  if (process.platform !== 'linux') return 0; // the magic numbers are Linux's
  return statfsSync(folder).type >>> 0;
}

/** Throws SPOOL_OPEN_FAILED if the path of a spool is a directory, a device or a pipe. */
export function refuseOtherThanFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return;
  const remedy = found.isDirectory() ? `a directory: give the path of a file, such as ${join(path, 'spool.sqlite')}` : 'not a regular file';
  throw new ServiceError('SPOOL_OPEN_FAILED', `the spool's path ${path} is ${remedy}`);
}

/**
 * Creates a file that only its owner may read. An existing file is not opened: closing a descriptor of it would release
 * the locks that this process holds on it (`fcntl(2)`). A command of root gives it to the folder's owner, so that the service can use it.
 */
export function createPrivateFile(path: string): void {
  if (existsSync(path)) return;
  const file = openSync(path, 'wx', 0o600);
  try {
    const { uid, gid } = statSync(dirname(path));
    if (process.getuid?.() === 0) fchownSync(file, uid, gid);
  } catch {
    // root without the capability to change owners, as in some containers: it can use the file, and so can its next start
  } finally {
    closeSync(file);
  }
}

/** How long to wait for the lock, ms: the previous process may still be exiting. */
const lockTimeoutMs = 2000;

/**
 * Keeps other processes off the spool until the lock is closed or this process ends in any way. The lock is an exclusive
 * transaction on a separate file, so that `sqlite3` can still read the spool. Throws SPOOL_LOCKED with the holder's process id.
 */
export function lockSpool(path: string): Database.Database {
  const lockPath = `${path}.lock`;
  createPrivateFile(lockPath);
  chmodSync(lockPath, 0o600);
  const lock = new Database(lockPath, { timeout: lockTimeoutMs });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock.close();
    if (!(cause instanceof Database.SqliteError) || !cause.code.startsWith('SQLITE_BUSY')) throw cause;
    throw new ServiceError('SPOOL_LOCKED', `the spool at ${path} is used by ${holderName(path)}: stop it first, or choose another path`, {
      cause,
    });
  }
}

/** Stores this process as the holder of the spool, for the error message of other processes. */
export function writeHolder(db: Database.Database, pid: number): void {
  db.prepare('INSERT INTO holder (one, pid) VALUES (1, ?) ON CONFLICT DO UPDATE SET pid = excluded.pid').run(pid);
}

function holderName(path: string): string {
  try {
    const db = new Database(path, { readonly: true, timeout: lockTimeoutMs });
    try {
      const pid = db.prepare('SELECT pid FROM holder').pluck().get();
      return typeof pid === 'number' ? `process ${pid}` : 'another process';
    } finally {
      db.close();
    }
  } catch {
    return 'another process'; // it is still creating the spool: its process id cannot be read yet
  }
}
