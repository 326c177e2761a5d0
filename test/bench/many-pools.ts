import { residentBytes } from './process-usage.ts';
import { chatMessage, startRig } from './rig.ts';
import { productWith } from './subjects.ts';
import { megabytes, type Row, times } from './table.ts';

/** Resident memory of the service with many pools. */
export interface ManyPools {
  readonly pools: number;
  readonly idleBytes: number;
  /** After each pool has had its share of the traffic. */
  readonly usedBytes: number;
}

/** Each pool has a handler, and each handler a receiver. */
export async function measureManyPools({ pools: count, events }: { readonly pools: number; readonly events: number }): Promise<ManyPools> {
  const numbers = Array.from({ length: count }, (_nothing, index) => index);
  const handlers = numbers.map(
    (number) =>
      `[[modules.mod_event_pusher.backend.http]]\npool_name = "pool${number}"\npath = "/notifications"\nwhen = { to = "peer${number}@localhost" }\n`,
  );
  const poolsAt = (origin: string) =>
    numbers.map((number) => `[outgoing_pools.http.pool${number}.connection]\nhost = "${origin}"\n`).join('');
  const subject = productWith({ handlers: handlers.join(''), pools: poolsAt });
  await using rig = await startRig({ subject, stanza: (seq) => chatMessage(seq % count) });
  const { pid } = rig.running;
  const idleBytes = residentBytes(pid);
  await rig.drive(events);
  return { pools: count, idleBytes, usedBytes: residentBytes(pid) };
}

export function manyPoolsRows({ pools, idleBytes, usedBytes }: ManyPools): readonly Row[] {
  return [
    {
      measure: `resident memory with ${pools} pools, after traffic`,
      measured: megabytes(usedBytes),
      reference: `before ${megabytes(idleBytes)}`,
      ratio: times(usedBytes / idleBytes),
      goal: '≤ 300 MB',
    },
  ];
}
