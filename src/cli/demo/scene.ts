import type { Clock } from '../../kit/clock.ts';
import type { Cleanup } from './cleanup.ts';
import type { Page } from './page.ts';

/** What every part of the demo works with. */
export interface Scene {
  readonly page: Page;
  readonly cleanup: Cleanup;
  /** Aborted when somebody ends the demo. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** A fresh temporary folder, gone afterwards. */
  readonly folder: string;
}
