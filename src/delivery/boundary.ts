/**
 * The boundary around one delivery. Its steps process responses of backends and requests of callback modules, so outside data
 * can trigger an error in the service. Such an error makes this delivery a dead letter and affects no other.
 */
import type { EpochMs } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { FailedPacket } from '../spool/dead-letter.ts';
import type { Disposition, Entry, Spool } from '../spool/spool.ts';

/** The end of a delivery without further attempts. */
export type Dead = Extract<Disposition, { kind: 'dead' }>;

/** Runs a step of one delivery. `doing` completes "error while …"; `end` gives the result of a step that threw. */
export function within<T>(doing: string, step: () => T, end: (disposition: Dead) => T): T {
  try {
    return step();
  } catch (thrown) {
    return end(internalError(doing, thrown));
  }
}

/** Runs a step without a result; returns the end of the delivery if the step threw. */
export function thrownBy(doing: string, step: () => void): Dead | undefined {
  return within<Dead | undefined>(
    doing,
    () => void step(),
    (dead) => dead,
  );
}

/** The disposition of a delivery after an internal error. */
export function internalError(doing: string, thrown: unknown): Dead {
  const { name, message, stack = '' } = toError(thrown);
  const detail = `error while ${doing}: ${name}: ${message.slice(0, maxMessage)} (${placeIn(stack)}); please report it`;
  return { kind: 'dead', reason: 'internal-error', detail };
}

const maxMessage = 500;

/** File, line and column of the innermost call. */
function placeIn(stack: string): string {
  const call = stack.split('\n').find((line) => line.startsWith('    at ')) ?? 'unknown place';
  return call.slice(call.lastIndexOf('/') + 1).replace(/\)$/, '');
}

/** The code of an attempt that was not made because of an internal error. */
export const internalErrorCode = 'INTERNAL_ERROR';

/** Whether the spool failed, so that no delivery can be stored. */
export function isOfTheSpool(thrown: unknown): boolean {
  return thrown instanceof ServiceError && thrown.code !== 'SPOOL_ROW_REFUSED';
}

/**
 * Appends an entry. If the spool refuses it as a whole, its parts are appended one by one, the mark last, and a delivery that
 * is refused by itself becomes a dead letter without a packet. Rejects when the spool itself has failed.
 */
export async function appendOrBury(spool: Pick<Spool, 'append'>, entry: Entry, now: EpochMs): Promise<readonly Claimed[]> {
  try {
    return await spool.append(entry);
  } catch (thrown) {
    if (isOfTheSpool(thrown)) throw thrown;
  }
  const claimed: Claimed[] = [];
  for (const [part, subject] of partsOf(entry)) claimed.push(...(await appendPart(spool, part, buried(subject, now))));
  await spool.append({ ...nothing, mark: entry.mark, revives: entry.revives });
  return claimed;
}

const nothing: Entry = { deliveries: [], deadLetters: [], mark: undefined, claim: [], refused: [], revives: undefined };

type Subject = NewDelivery | FailedPacket;

function partsOf({ deliveries, claim, deadLetters, refused }: Entry): readonly (readonly [part: Entry, subject: Subject])[] {
  return [
    ...deliveries.map((delivery, index) => [{ ...nothing, deliveries: [delivery], claim: [claim[index] ?? false] }, delivery] as const),
    ...deadLetters.map((letter) => [{ ...nothing, deadLetters: [letter] }, letter] as const),
    ...refused.map((each) => [{ ...nothing, refused: [each] }, each.delivery] as const),
  ];
}

async function appendPart(
  spool: Pick<Spool, 'append'>,
  part: Entry,
  letterOf: (thrown: unknown) => FailedPacket,
): Promise<readonly Claimed[]> {
  try {
    return await spool.append(part);
  } catch (thrown) {
    if (isOfTheSpool(thrown)) throw thrown;
    return await spool.append({ ...nothing, deadLetters: [letterOf(thrown)] });
  }
}

/** The times and the content of what was refused may be the reason: neither is kept. */
function buried({ id, packetId, host, handler, pool, sender, receiver }: Subject, now: EpochMs): (thrown: unknown) => FailedPacket {
  return (thrown) => {
    const { reason, detail } = internalError('storing it', thrown);
    return { ...{ id, packetId, host, handler, pool, sender, receiver, reason, detail }, packet: '', seenAt: now, createdAt: now };
  };
}
