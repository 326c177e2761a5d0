import type { Clock } from '../src/kit/clock.ts';
import type { PoolThreadSettings } from './contract.ts';
import type { Exchange } from './exchange.ts';

/** Puts exchanges on the wire, over connections to one origin. Follows no redirect, retries nothing. */
export interface HttpClient {
  /**
   * Carries the exchange through its phases and never throws. `free` is called once its worker can take another one:
   * that can be after the exchange has concluded. At most `workers` exchanges may be under way.
   */
  send(exchange: Exchange, free: () => void): void;
  /** Closes the connections. Nothing is under way any more. */
  close(): Promise<void>;
}

export interface HttpClientSurroundings {
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
}
