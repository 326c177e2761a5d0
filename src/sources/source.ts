import type { Lifecycle } from '../kit/lifecycle.ts';
import type { Outbox } from './outbox.ts';

/** Where packets come from. Started, it attaches and stays attached; stopped, it hands over nothing more. */
export interface Source extends Lifecycle {
  readonly name: string;
  /** Where messages to users go out, for what can send. */
  readonly outbox?: Outbox;
  /** Bytes handed over and not yet on disk. */
  readonly uncommittedBytes: number;
  /** From now on the handlers can want these stanzas (as a tap's `want` says them): the chat server is asked for them alone. */
  resubscribe(want: string): void;
}
