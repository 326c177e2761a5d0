import { closeSync, existsSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ServiceError, toError } from '../../kit/errors.ts';

/** The type magic of the file system that holds a folder, as `statfs(2)` gives it. */
export type FileSystemOf = (folder: string) => number;

/**
 * File systems whose locks and shared memory do not reach every machine that mounts them (`linux/magic.h`). FUSE is not
 * among them: most of it is local, and what lies behind it cannot be told.
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
 * Makes the spool's folder (0700, where it is missing). Throws SPOOL_NETWORK_FILE_SYSTEM with the file system's name,
 * SPOOL_OPEN_FAILED when the folder cannot be made or the path is that of something other than a file.
 */
export function preparePlace(path: string, fileSystemOf: FileSystemOf = systemFileSystemOf): void {
  const folder = dirname(path);
  try {
    makeFolder(folder);
  } catch (cause) {
    const message = `cannot make the spool's folder ${folder}: ${toError(cause).message}; choose another [spool] path`;
    throw new ServiceError('SPOOL_OPEN_FAILED', message, { cause });
  }
  refuseOtherThanFile(path);
  const name = networkFileSystems.get(fileSystemOf(folder));
  if (name === undefined) return;
  throw new ServiceError(
    'SPOOL_NETWORK_FILE_SYSTEM',
    `the spool's folder ${folder} lies on ${name}, a network file system, where SQLite cannot keep its promises: choose a local disk`,
  );
}

/** `mkdir` with `recursive` never returns if the file system cannot create folders, as below `/proc`. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) {
    if (statSync(folder).isDirectory()) return;
    throw new Error(`${folder} is not a directory`);
  }
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

/** Throws SPOOL_OPEN_FAILED if the path of a spool is a directory, a device or a pipe. */
export function refuseOtherThanFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return;
  const remedy = found.isDirectory() ? `a directory: give the path of a file, as ${join(path, 'spool.sqlite')}` : 'not a regular file';
  throw new ServiceError('SPOOL_OPEN_FAILED', `the spool's path ${path} is ${remedy}`);
}

/**
 * Creates a file that only its owner may read. One that is there is left alone: closing a descriptor of it would free
 * the locks that this process holds on it (`fcntl(2)`).
 */
export function createPrivate(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600));
}

function systemFileSystemOf(folder: string): number {
  if (process.platform !== 'linux') return 0; // elsewhere the numbers mean something else
  return statfsSync(folder).type >>> 0;
}
