import type { Outcome } from '../../src/model/attempt.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import type { PacketFacts, PacketId } from '../../src/model/packet.ts';
import type { DeliverySubject, EventBus, Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createMetrics, type Metrics, type MetricsOptions, noReloads } from '../../src/telemetry/metrics.ts';
import type { Readings } from '../../src/telemetry/read-gauges.ts';
import { createFakeClock } from '../support/fake-clock.ts';

export const packetId = '01900000-0000-7000-8000-000000000001' as PacketId;
export const deliveryId = '01900000-0000-7000-8000-000000000002' as DeliveryId;

export function answered(status: number, durationMs = 20): Outcome {
  return { kind: 'answered', status, durationMs, retryAfter: undefined, excerpt: '', truncated: false };
}

export const subject: DeliverySubject = {
  ...{ id: deliveryId, packetId, facts: JSON.stringify(['message', 'm1', 's1']) as PacketFacts, pool: 'http_pool', handler: 'chat' },
  ...{ host: 'localhost', sender: 'alice@localhost', receiver: 'bob@localhost' },
};

export function attemptEnded(changes: Partial<Events['attempt.ended']> = {}): Events['attempt.ended'] {
  return {
    ...subject,
    purpose: 'push',
    attempt: 1,
    attemptsAllowed: 4,
    outcome: answered(200),
    judgement: undefined,
    accepted: true,
    reason: '',
    ageMs: 50,
    nextAt: undefined,
    died: undefined,
    ...changes,
  };
}

export function settled(changes: Partial<Events['delivery.settled']> = {}): Events['delivery.settled'] {
  return {
    ...subject,
    purpose: 'push',
    disposition: 'delivered',
    reason: '',
    ageMs: 60,
    ...changes,
  };
}

export const quietReadings: Readings = {
  spoolStats: () => ({ depths: [], paused: [], bytes: 0, writable: true, oldest: new Map(), fullInMs: undefined, loss: '' }),
  inFlight: () => [],
  orphans: () => [],
  attached: () => [],
  uncommittedBytes: () => 0,
};

/** A bus whose listeners may not throw, and metrics that listen to it. */
export function observe(changes: Partial<MetricsOptions> = {}) {
  const events: EventBus = createEventBus((name, error) => {
    throw new Error(`a listener of ${name} threw`, { cause: error });
  });
  const clock = createFakeClock();
  const metrics = createMetrics({
    events,
    clock,
    hosts: ['localhost', 'example.org'],
    pools: ['http_pool'],
    handlers: [{ name: 'chat', pool: 'http_pool' }],
    readings: quietReadings,
    mongooseim: false,
    reloads: noReloads,
    version: '1.2.3',
    ...changes,
  });
  return { events, clock, metrics };
}

/** The value of one series, as a scraper reads it; undefined when there is none. */
export async function sample(metrics: Metrics, series: string): Promise<number | undefined> {
  const { text } = await metrics.render();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}
