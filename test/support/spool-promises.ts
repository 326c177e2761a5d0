/** The calls of a spool that take a completion, as promises. */
import { promised } from '../../src/kit/completion.ts';
import type { Claimed } from '../../src/model/delivery.ts';
import type { ClaimRequest, ClaimResult, Entry, Settled, Settlement, Spool } from '../../src/spool/spool.ts';

export function appendTo(spool: Pick<Spool, 'append'>, entry: Entry): Promise<readonly Claimed[]> {
  return promised((completion) => spool.append(entry, completion));
}

export function claimFrom(spool: Pick<Spool, 'claim'>, pool: string, request: ClaimRequest): Promise<ClaimResult> {
  return promised((completion) => spool.claim(pool, request, completion));
}

export function settleIn(spool: Pick<Spool, 'settle'>, settlement: Settlement): Promise<Settled> {
  return promised((completion) => spool.settle(settlement, completion));
}
