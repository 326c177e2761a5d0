import { chmodSync, constants, copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { flushToDisk } from '../flush-to-disk.ts';
import { historyFolder, isMissing, listSegments, type Segment, segmentPath } from './segments.ts';

/**
 * Copies the history of a spool to the place where a service on the copy of the spool looks for it. Returns its size, or undefined if there
 * is no history. Throws if it cannot be written, or if the place is taken; then nothing of it remains.
 */
export function backUpHistory(spoolPath: string, copyPath: string): number | undefined {
  const segments = listSegments(historyFolder(spoolPath));
  if (segments.length === 0) return undefined;
  const folder = historyFolder(copyPath);
  mkdirSync(folder, { mode: 0o700 });
  try {
    for (const segment of segments) copySegment(segment, segmentPath(folder, segment.number));
    flushToDisk(folder);
    return listSegments(folder).reduce((sum, { bytes }) => sum + bytes, 0);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The one that is being written is copied as far as it goes; a search ignores an incomplete last line. */
function copySegment({ path }: Segment, target: string): void {
  try {
    copyFileSync(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  } catch (error) {
    if (isMissing(error)) return; // the service has deleted it meanwhile, because of its age
    throw error;
  }
  chmodSync(target, 0o600);
  flushToDisk(target);
}
