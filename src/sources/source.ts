import type { Lifecycle } from '../kit/lifecycle.ts';

/** Where packets come from. Started, it attaches and stays attached; stopped, it hands over nothing more. */
export interface Source extends Lifecycle {
  readonly name: string;
  /** Bytes handed over and not yet on disk. */
  readonly uncommittedBytes: number;
}
