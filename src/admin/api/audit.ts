import type { EventSink } from '../../telemetry/events.ts';
import type { Caller } from './route.ts';

/** One line in the log for everything that somebody changed: what, and from where. */
export function audit(events: EventSink, { address }: Caller, what: string): void {
  events.emit('notice', { text: `admin API, asked from ${address}: ${what}` });
}
