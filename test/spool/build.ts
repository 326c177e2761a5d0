import type { SpoolConfig } from '../../src/config/config.ts';
import type { AttemptRecord } from '../../src/model/attempt.ts';
import type { DeliveryId, HttpTarget, NewDelivery, Target } from '../../src/model/delivery.ts';
import type { PacketId } from '../../src/model/packet.ts';
import type { Disposition, Entry, FailedPacket, Settlement } from '../../src/spool/spool.ts';

/** Default time of acceptance in these tests. */
export const acceptedAt = 1_700_000_000_000;

export function idOf(name: string): DeliveryId {
  return name as DeliveryId;
}

const plainTarget: HttpTarget = { kind: 'http', method: 'POST', path: '/notifications', headers: [['content-type', 'text/plain']] };

export function makeDelivery<T extends Target = HttpTarget>({
  id = 'd1',
  ...rest
}: Partial<Omit<NewDelivery<T>, 'id'>> & { readonly id?: string } = {}): NewDelivery<T> {
  return {
    id: idOf(id),
    packetId: `packet-of-${id}` as PacketId,
    facts: undefined,
    host: 'localhost',
    handler: 'push',
    pool: 'pool',
    lane: null,
    sender: 'alice@localhost',
    receiver: 'bob@localhost',
    target: plainTarget as Target as T,
    body: `body of ${id}`,
    seenAt: acceptedAt - 5,
    createdAt: acceptedAt,
    ...rest,
  };
}

export function makeFailedPacket({ id = 's1', ...rest }: Partial<Omit<FailedPacket, 'id'>> & { readonly id?: string } = {}): FailedPacket {
  return {
    id: idOf(id),
    packetId: `packet-of-${id}` as PacketId,
    facts: undefined,
    host: 'localhost',
    handler: 'push',
    pool: 'pool',
    sender: 'alice@localhost',
    receiver: 'bob@localhost',
    reason: 'callback-failed',
    detail: 'prepareBody threw',
    packet: '{"xml":"<message/>"}',
    seenAt: acceptedAt - 5,
    createdAt: acceptedAt,
    ...rest,
  };
}

/** An entry whose deliveries stay unclaimed; with `take` all of them are claimed by the append. */
export function makeEntry(deliveries: readonly NewDelivery[], rest: Partial<Entry> & { readonly take?: boolean } = {}): Entry {
  const { take = false, ...given } = rest;
  return { deliveries, deadLetters: [], mark: undefined, claim: deliveries.map(() => take), refused: [], revives: undefined, ...given };
}

export function makeSettlement(seq: number, disposition: Disposition, rest: Partial<Settlement> = {}): Settlement {
  return { seq, disposition, attempt: undefined, spawn: [], failedPackets: [], claimNext: 0, ...rest };
}

/** An attempt with a response. */
export function answered(number: number, status: number, at = acceptedAt + number): AttemptRecord {
  return { number, at, outcome: { kind: 'answered', status, durationMs: 3, retryAfter: undefined, excerpt: 'so', truncated: false } };
}

export function timedOut(number: number, at = acceptedAt + number): AttemptRecord {
  return { number, at, outcome: { kind: 'timed-out', phase: 'headers', durationMs: 2000 } };
}

/** A spool in a file, with enough space. */
export function makeConfig(path: string, rest: Partial<SpoolConfig> = {}): SpoolConfig {
  return {
    engine: 'sqlite',
    path,
    maxBytes: 1024 ** 3,
    minFreeBytes: 0,
    deadLetterMaxAgeMs: 86_400_000,
    deadLetterMax: undefined,
    ...rest,
  };
}
