/** What has become of a delivery after an attempt. */
export type Disposition = 'dead' | 'delivered' | 'retry';

/** Why a delivery was given up. Stands alphabetically. */
export type DeadReason = (typeof deadReasons)[number];
export const deadReasons = [
  'attempts-exhausted',
  'callback-blocked',
  'callback-failed',
  'chain-failed',
  'expired',
  'internal-error',
  'overflow',
  'refused',
] as const;
