import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A separate file system in memory that can be filled. */
export interface SmallDisk extends AsyncDisposable {
  readonly folder: string;
  /** Writes until at most this number of bytes is free. */
  fill(leftBytes: number): Promise<void>;
  /** Frees the space used by `fill`. */
  free(): Promise<void>;
}

/** Whether this machine can mount one: this requires root, and (in a container) the permission to mount. */
export async function canMountDisks(): Promise<boolean> {
  try {
    await using _disk = await mountSmallDisk(1024 * 1024);
    return true;
  } catch {
    return false;
  }
}

export async function mountSmallDisk(sizeBytes: number): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'disk-'));
  const filler = join(folder, 'filler');
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder]);
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  }

  return {
    folder,
    fill: async (leftBytes) => {
      const { bavail, bsize } = await statfs(folder);
      await using file = await open(filler, 'a');
      await file.writeFile(Buffer.alloc(Math.max(0, bavail * bsize - leftBytes))).catch(whenFull);
    },
    free: () => rm(filler, { force: true }),
    [Symbol.asyncDispose]: async () => {
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
    },
  };
}

/** Another writer was faster, or the file system took the last page: the disk is full in any case. */
function whenFull(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOSPC') throw error;
}
