/**
 * The error boundary around one delivery. Its steps process responses of backends and requests of callback modules, so outside
 * data can trigger an error in the service. Such an error makes this delivery a dead letter and affects no other.
 */
import type { EpochMs } from '../kit/clock.ts';
import { promised } from '../kit/completion.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Disposition, Entry, FailedPacket, Spool } from '../spool/spool.ts';

/** The disposition of a delivery without further attempts. */
export type Dead = Extract<Disposition, { kind: 'dead' }>;

/** The disposition of a delivery after an internal error. `doing` completes "error while …". */
export function internalError(doing: string, thrown: unknown): Dead {
  const { name, message, stack = '' } = toError(thrown);
  const detail = `error while ${doing}: ${name}: ${message.slice(0, maxMessage)} (${innermostCall(stack)}); please report it`;
  return { kind: 'dead', reason: 'internal-error', detail };
}

/** Maximum length of the message of an error in a dead letter, characters. */
const maxMessage = 500;

/** File, line and column. */
function innermostCall(stack: string): string {
  const call = stack.split('\n').find((line) => line.startsWith('    at ')) ?? 'unknown place';
  return call.slice(call.lastIndexOf('/') + 1).replace(/\)$/, '');
}

/** The code of an attempt that was not made because of an internal error. */
export const internalErrorCode = 'INTERNAL_ERROR';

/** Whether the spool failed, so that no delivery can be stored. */
export function isSpoolFailure(thrown: unknown): boolean {
  return thrown instanceof ServiceError && thrown.code !== 'SPOOL_ROW_REFUSED';
}

/**
 * Appends the parts of an entry that the spool has refused as a whole, one by one and unclaimed, the mark last; a delivery that is refused
 * by itself becomes a dead letter without a packet. Rejects if the spool itself has failed.
 */
export async function appendParts(
  spool: Pick<Spool, 'append'>,
  entry: Entry,
  { thrown, now }: { readonly thrown: unknown; readonly now: EpochMs },
): Promise<void> {
  if (isSpoolFailure(thrown)) throw thrown;
  for (const [part, subject] of partsOf(entry)) await appendPart(spool, part, subject, now);
  await append(spool, { ...emptyEntry, mark: entry.mark, revives: entry.revives });
}

const emptyEntry: Entry = { deliveries: [], deadLetters: [], mark: undefined, claim: [], refused: [], revives: undefined };

type Subject = NewDelivery | FailedPacket;

function partsOf({ deliveries, deadLetters, refused }: Entry): readonly (readonly [part: Entry, subject: Subject])[] {
  return [
    ...deliveries.map((delivery) => [{ ...emptyEntry, deliveries: [delivery], claim: [false] }, delivery] as const),
    ...deadLetters.map((letter) => [{ ...emptyEntry, deadLetters: [letter] }, letter] as const),
    ...refused.map((each) => [{ ...emptyEntry, refused: [each] }, each.delivery] as const),
  ];
}

async function appendPart(spool: Pick<Spool, 'append'>, part: Entry, subject: Subject, now: EpochMs): Promise<void> {
  try {
    await append(spool, part);
  } catch (thrown) {
    if (isSpoolFailure(thrown)) throw thrown;
    await append(spool, { ...emptyEntry, deadLetters: [letterOf(subject, thrown, now)] });
  }
}

function append(spool: Pick<Spool, 'append'>, entry: Entry): Promise<readonly Claimed[]> {
  return promised((completion) => spool.append(entry, completion));
}

/** A dead letter without the timestamps and content of its subject, which may be the reason for the refusal. */
function letterOf({ id, packetId, facts, host, handler, pool, sender, receiver }: Subject, thrown: unknown, now: EpochMs): FailedPacket {
  const { reason, detail } = internalError('storing it', thrown);
  return { ...{ id, packetId, facts, host, handler, pool, sender, receiver, reason, detail }, packet: '', seenAt: now, createdAt: now };
}
