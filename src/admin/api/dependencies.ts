import type { Redactor } from '../../config/secrets.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Spool } from '../../spool/spool.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { RecentWithheld } from '../../telemetry/recent.ts';
import type { Operations } from '../operations.ts';

/** What the API reads and operates. */
export interface ApiDependencies {
  readonly spool: Pick<Spool, 'countDead' | 'deadLetter' | 'deadLetters' | 'descendants' | 'purgeDead'>;
  readonly operations: Operations;
  readonly withheld: RecentWithheld;
  readonly events: EventSink;
  readonly clock: Pick<Clock, 'now'>;
  /** Hides the secrets of the configuration in every response. */
  readonly redactor: Pick<Redactor, 'bytes' | 'value'>;
}
