/**
 * The composition root: the only file that knows all parts. They are started against the way of a packet, so that each
 * finds the next one ready, and stopped along it, so that each can hand on what it holds.
 */
import type { DeliveryId, PacketId } from '../pools/contract.ts';
import { createAdmin } from './admin/server.ts';
import type { Config } from './config/config.ts';
import { createDispatcher, type Dispatcher } from './delivery/dispatcher.ts';
import { createEvaluator } from './hooks/evaluate.ts';
import { createIntake } from './hooks/intake.ts';
import { loadHandlers } from './hooks/load.ts';
import { wantOf } from './hooks/want.ts';
import { type CallbackWatch, unwatched } from './hooks/watch.ts';
import { systemClock } from './kit/clock.ts';
import { createIdSource } from './kit/ids.ts';
import { createLifecycle, type Lifecycle } from './kit/lifecycle.ts';
import { systemRandom } from './kit/random.ts';
import { createTeardown } from './kit/teardown.ts';
import { systemTimers } from './kit/timers.ts';
import { packageVersion } from './kit/version.ts';
import { within } from './kit/within.ts';
import { createJidReader } from './packet/jid.ts';
import { openSources } from './sources/open.ts';
import type { Source } from './sources/source.ts';
import { openSpool } from './spool/open.ts';
import { createRetention } from './spool/retention.ts';
import type { Spool } from './spool/spool.ts';
import { announceReady } from './telemetry/announce-ready.ts';
import { createEventBus } from './telemetry/event-bus.ts';
import type { EventBus } from './telemetry/events.ts';
import { createHealth } from './telemetry/health.ts';
import { createLog } from './telemetry/log.ts';
import { subscribeLog } from './telemetry/log-events.ts';
import { createMetrics } from './telemetry/metrics.ts';

export interface ServiceOptions {
  /** Sees each callback before it runs; see {@link CallbackWatch}. */
  readonly watch?: CallbackWatch;
  /** The service cannot go on: stop it and start another. */
  readonly onFailed: (error: Error) => void;
}

export interface Service extends Lifecycle {
  readonly events: EventBus;
}

export function createService(config: Config, { watch = unwatched, onFailed }: ServiceOptions): Service {
  const events = createEventBus();
  const health = createHealth({ events, attachments: config.attachments });
  const teardown = createTeardown();
  const version = packageVersion();
  const nextId = createIdSource(systemClock);
  const shared = { clock: systemClock, random: systemRandom, timers: systemTimers, events, onFailed };

  async function begin(what: string, part: Lifecycle): Promise<void> {
    teardown.add(what, () => part.stop());
    await part.start();
  }

  async function start(): Promise<void> {
    subscribeLog(events, createLog({ level: config.logLevel }));
    for (const text of config.notices) events.emit('notice', { text });
    const handlers = await loadHandlers(config.handlers);

    const spool = await startSpool();
    const dispatcher = createDispatcher({ ...shared, ...config, spool, userAgent: `xmpp-event-pusher/${version}` });
    const { evaluate } = createEvaluator({ ...shared, handlers, limits: config.callbacks, watch, newId: () => nextId() as DeliveryId });
    const intake = createIntake({ ...shared, evaluate, append: dispatcher.accept });
    const sources = openSources(config.attachments, {
      ...shared,
      accept: intake.accept,
      marks: await spool.marks(),
      want: wantOf(handlers),
      newPacketId: () => nextId() as PacketId,
      readJid: createJidReader({ size: 10_000 }),
    });

    await startAdmin({ spool, dispatcher, sources });
    teardown.add('the dispatcher', () => dispatcher.stop(config.drainTimeoutMs));
    await dispatcher.start();
    teardown.add('the intake', async () => void (await within(intake.idle(), config.drainTimeoutMs, systemTimers)));
    for (const source of sources) await begin(`attachment ${source.name}`, source);
    teardown.add('readiness', () => health.drain());
  }

  async function startSpool(): Promise<Spool> {
    const spool = openSpool(config.spool, shared);
    await begin('the spool', spool);
    await begin('the retention of dead letters', createRetention({ ...shared, spool, maxAgeMs: config.spool.deadLetterMaxAgeMs }));
    return spool;
  }

  async function startAdmin({ spool, dispatcher, sources }: Observed): Promise<void> {
    const readings = {
      spoolStats: () => spool.stats(),
      inFlight: () => dispatcher.inFlight(),
      attached: () => health.attached(),
      uncommittedBytes: () => sources.reduce((sum, source) => sum + source.uncommittedBytes, 0),
    };
    const { hosts, handlers } = config;
    const pools = config.pools.map((pool) => pool.id);
    const metrics = createMetrics({ ...shared, hosts, pools, handlers, readings, mongooseim: config.metrics.mongooseim, version });
    const admin = createAdmin({ config, metrics, health });
    await begin('the admin listener', admin);

    const address = `http://${admin.address.host}:${admin.address.port}`;
    events.emit('notice', { text: `metrics and health are at ${address}` });
    announceReady(events, health, address);
  }

  return { events, ...createLifecycle({ start, stop: () => teardown.run() }) };
}

/** What metrics are read from. */
interface Observed {
  readonly spool: Spool;
  readonly dispatcher: Dispatcher;
  readonly sources: readonly Source[];
}
