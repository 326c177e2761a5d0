import type { ExitMsgInfo } from '../../../../pools/exits.ts';
import { asObject } from '../../../kit/json.ts';

/** What a message may be made of: openUTM counts its parts in 254 places, and a part's length in 15 bits. */
export const maxParts = 254;
export const maxPartBytes = 32_767;

/** The parts of a message while somebody puts them. */
export interface Parts {
  readonly all: readonly Buffer[];
  /** Copies the part, text as UTF-8. Throws RangeError for one too long, or one too many, TypeError for what is neither text nor bytes. */
  add(part: Uint8Array | string): void;
}

export function createParts(): Parts {
  const all: Buffer[] = [];
  return {
    all,
    add: (part) => {
      const bytes = bytesOf(part);
      if (bytes.length > maxPartBytes) throw new RangeError(`a part may have ${maxPartBytes} bytes, this has ${bytes.length}`);
      if (all.length >= maxParts) throw new RangeError(`a message may have ${maxParts} parts`);
      all.push(bytes);
    },
  };
}

/** Text as UTF-8, or a copy of bytes; it may come from anybody's module. */
export function bytesOf(given: unknown): Buffer {
  if (typeof given === 'string') return Buffer.from(given);
  if (given instanceof Uint8Array) return Buffer.from(given);
  throw new TypeError(`expected text or bytes, received ${given === null ? 'null' : typeof given}`);
}

/** Cuts a message into as few parts as it takes; undefined where that is more than there may be. Nothing is one empty part. */
export function splitMessage(message: Buffer): readonly Buffer[] | undefined {
  const parts: Buffer[] = [];
  for (let start = 0; start === 0 || start < message.length; start += maxPartBytes)
    parts.push(message.subarray(start, start + maxPartBytes));
  return parts.length > maxParts ? undefined : parts;
}

/** Cuts a message as an exit has asked for; undefined where its numbers are none, or do not come to the message's length. */
export function cutBy(structure: unknown, message: Buffer): readonly Buffer[] | undefined {
  const { nrMsgParts, lthMsgParts } = asObject(structure) ?? {};
  if (!isCount(nrMsgParts, maxParts) || !Array.isArray(lthMsgParts) || lthMsgParts.length < nrMsgParts) return undefined;
  const parts: Buffer[] = [];
  let start = 0;
  for (const length of lthMsgParts.slice(0, nrMsgParts)) {
    if (!isCount(length, maxPartBytes)) return undefined;
    parts.push(message.subarray(start, start + length));
    start += length;
  }
  return start === message.length ? parts : undefined;
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
}

/** The structure information of parts that are there. */
export function structureOf(parts: readonly Buffer[]): ExitMsgInfo {
  return { nrMsgParts: parts.length, lthMsgParts: parts.map(({ length }) => length) };
}
