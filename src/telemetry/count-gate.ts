import { callbackBuckets } from './buckets.ts';
import type { EventBus, GateAnswered } from './events.ts';
import type { MetricRegistry } from './registry.ts';

const answers: readonly GateAnswered[] = ['allowed', 'changed', 'refused', 'failed', 'rejected'];

/** How the gate answers, and how long senders wait for that. Every answer shows 0 from the start. */
export function countGate(registry: MetricRegistry, events: EventBus): void {
  const answered = registry.counter('event_pusher_gate_total');
  const duration = registry.histogram('event_pusher_gate_duration_seconds', callbackBuckets).at();
  for (const answer of answers) answered.at(answer);
  events.on('gate.answered', ({ answer, durationMs }) => {
    answered.at(answer).add();
    if (answer !== 'rejected') duration.observe(durationMs / 1000);
  });
}
