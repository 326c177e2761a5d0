/**
 * How many of `limit` places go to retries, where so many of either kind are due: half at most while first attempts are
 * due, and what these leave.
 */
export function retryShare(limit: number, due: { readonly fresh: number; readonly retries: number }): number {
  return Math.min(due.retries, Math.max(Math.floor(limit / 2), limit - due.fresh));
}
