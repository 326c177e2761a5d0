import type { ExitMsgInfo } from '../../../../pools/exits.ts';
import { asObject } from '../../../kit/json.ts';

/** The limits of a message: openUTM has 254 parts, and lengths of 15 bits. */
export const maxParts = 254;
export const maxPartBytes = 32_767;

/** The parts that an exit or unit has put so far. */
export class Parts {
  readonly all: Buffer[] = [];

  /** Copies a part, text as UTF-8. Throws RangeError if it is too long or one too many, TypeError if it is neither text nor bytes. */
  readonly add = (part: Uint8Array | string): void => {
    const bytes = bytesOf(part);
    if (bytes.length > maxPartBytes) throw new RangeError(`a part may have ${maxPartBytes} bytes, this one has ${bytes.length}`);
    if (this.all.length >= maxParts) throw new RangeError(`a message may have ${maxParts} parts`);
    this.all.push(bytes);
  };
}

/** Text as UTF-8, or a copy of bytes; the value comes from a user's module. */
export function bytesOf(given: unknown): Buffer {
  if (typeof given === 'string') return Buffer.from(given);
  if (given instanceof Uint8Array) return Buffer.from(given);
  throw new TypeError(`expected text or bytes, received ${given === null ? 'null' : typeof given}`);
}

/** Splits a message into as few parts as possible; undefined if there would be too many. An empty message is one empty part. */
export function splitMessage(message: Buffer): readonly Buffer[] | undefined {
  const parts: Buffer[] = [];
  for (let start = 0; start === 0 || start < message.length; start += maxPartBytes)
    parts.push(message.subarray(start, start + maxPartBytes));
  return parts.length > maxParts ? undefined : parts;
}

/** Splits a message by the lengths of an exit; undefined if they are invalid or do not add up to the message's length. */
export function splitBy(structure: unknown, message: Buffer): readonly Buffer[] | undefined {
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

/** The structure information of existing parts. */
export function structureOf(parts: readonly Buffer[]): ExitMsgInfo {
  return { nrMsgParts: parts.length, lthMsgParts: parts.map(({ length }) => length) };
}
