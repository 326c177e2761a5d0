import { closeSync, fdatasync, openSync, statfsSync, writeSync } from 'node:fs';
import type { EpochMs } from '../../kit/clock.ts';
import { listSegments, prepareHistoryFolder, removeSegment, type Segment, segmentPath } from './segments.ts';

export interface HistoryOpening {
  readonly folder: string;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Space on the disk that the history leaves free; it is twice the spool's, so that the history is deleted first. */
  readonly minFreeBytes: number;
}

/** A search reads a whole segment, and the oldest is deleted whole. */
const segmentBytes = 16 * 1024 * 1024;
const segmentsAtLeast = 16;

/**
 * Writes the history in the spool's thread. Records are written before the transaction that settles their deliveries: after a crash in
 * between, the record of an attempt is there, and the attempt is repeated. The file is synchronised at each maintenance.
 */
export class HistoryWriter {
  readonly #opening: HistoryOpening;
  readonly #segmentBytes: number;
  #segments: Segment[];
  #fd: number | undefined;
  #bytes = 0;
  #number = 0;
  #endsAt = 0;
  /** Whether the last line may be incomplete. */
  #isTorn = false;
  #isUnsynchronised = false;

  constructor(opening: HistoryOpening) {
    this.#opening = opening;
    this.#segmentBytes = Math.min(segmentBytes, Math.max(1, Math.floor(opening.maxBytes / segmentsAtLeast)));
    prepareHistoryFolder(opening.folder);
    this.#segments = [...listSegments(opening.folder)];
  }

  /** Never throws: a record is lost if there is no space for it, even after the oldest segments are deleted. */
  write(text: string, now: EpochMs): void {
    if (text === '') return;
    try {
      this.#append(text, now);
    } catch {
      this.#appendInPlaceOfOldest(text, now);
    }
  }

  #appendInPlaceOfOldest(text: string, now: EpochMs): void {
    try {
      if (this.#deleteOldest()) this.#append(text, now);
    } catch {
      // The disk is full or cannot be written: the history is the first to go.
    }
  }

  #append(text: string, now: EpochMs): void {
    if (this.#fd === undefined || this.#bytes >= this.#segmentBytes || now - this.#number > this.#opening.maxAgeMs / segmentsAtLeast)
      this.#begin(now);
    if (this.#fd === undefined) return;
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    this.#isTorn = true;
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written);
    this.#isTorn = false;
    this.#bytes += bytes.length;
    this.#endsAt = now;
    this.#isUnsynchronised = true;
  }

  /** Begins a segment. A process never writes to one of an earlier process, whose last line may be incomplete. */
  #begin(now: EpochMs): void {
    this.close();
    const last = this.#segments.at(-1)?.number ?? 0;
    this.#number = Math.max(now, last + 1);
    const path = segmentPath(this.#opening.folder, this.#number);
    this.#fd = openSync(path, 'ax', 0o600);
    [this.#bytes, this.#isTorn] = [0, false];
    this.#segments.push({ number: this.#number, path, bytes: 0, endsAt: now });
    this.#deleteOld(now);
  }

  /** Deletes what is too old, too large, or needed by the disk; at each maintenance. Never throws: a removed folder begins again. */
  maintain(now: EpochMs): void {
    try {
      this.#synchronise();
      if (this.#endsAt < now - this.#opening.maxAgeMs) this.close();
      this.#deleteOld(now);
      while (this.#isDiskShort() && this.#deleteOldest());
    } catch {
      this.#beginAgain();
    }
  }

  #beginAgain(): void {
    this.close();
    this.#segments = [];
    try {
      prepareHistoryFolder(this.#opening.folder);
    } catch {
      // It is tried at the next maintenance; until then, records are lost.
    }
  }

  /** Not awaited: after a loss of power, the records of the last moments may be missing. */
  #synchronise(): void {
    if (!this.#isUnsynchronised || this.#fd === undefined) return;
    this.#isUnsynchronised = false;
    fdatasync(this.#fd, () => undefined); // an error shows in the next write
  }

  #deleteOld(now: EpochMs): void {
    const { maxAgeMs, maxBytes } = this.#opening;
    let bytes = this.#segmentBytes + this.#closed.reduce((sum, segment) => sum + segment.bytes, 0);
    for (const { endsAt, bytes: freed } of this.#closed) {
      if (endsAt >= now - maxAgeMs && bytes <= maxBytes) return;
      this.#deleteOldest();
      bytes -= freed;
    }
  }

  /** All but the one that is being written, the oldest first. */
  get #closed(): readonly Segment[] {
    return this.#fd === undefined ? [...this.#segments] : this.#segments.slice(0, -1);
  }

  /** False: there is none but the one that is being written. */
  #deleteOldest(): boolean {
    const [oldest] = this.#closed;
    if (oldest === undefined) return false;
    removeSegment(oldest);
    this.#segments.shift();
    return true;
  }

  #isDiskShort(): boolean {
    const { folder, minFreeBytes } = this.#opening;
    const { bavail, bsize } = statfsSync(folder);
    return minFreeBytes > 0 && bavail * bsize < minFreeBytes;
  }

  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    const last = this.#segments.at(-1);
    if (last !== undefined) this.#segments[this.#segments.length - 1] = { ...last, bytes: this.#bytes, endsAt: this.#endsAt };
  }
}

/** The journal of the spool's thread; undefined without a history. */
export function openHistoryWriter(settings: object | undefined): HistoryWriter | undefined {
  return settings && new HistoryWriter(settings as HistoryOpening); // `service.ts` passes them
}
