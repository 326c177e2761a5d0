/**
 * The composition root: the only file that knows all parts. They are started against the way of a packet, so that each
 * finds the next one ready, and stopped along it, so that each can hand on what it holds.
 */
import type { Logger } from 'pino';
import type { DeliveryId, PacketId } from '../pools/contract.ts';
import { createAdmin } from './admin/server.ts';
import type { Config } from './config/config.ts';
import { createReloader } from './config/reloader.ts';
import { createDispatcher, type Dispatcher } from './delivery/dispatcher.ts';
import { createEvaluator, type Evaluator } from './hooks/evaluate.ts';
import { withFreshModules } from './hooks/fresh-modules.ts';
import type { LoadedHandler } from './hooks/handler.ts';
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
import { noReloads, type ReloadCounts, type ReloadResult } from './telemetry/count-reloads.ts';
import { createEventBus } from './telemetry/event-bus.ts';
import type { EventBus } from './telemetry/events.ts';
import { createHealth } from './telemetry/health.ts';
import { createLog } from './telemetry/log.ts';
import { subscribeLog } from './telemetry/log-events.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';

export type { ReloadCounts, ReloadResult } from './telemetry/count-reloads.ts';

export interface ServiceOptions {
  /** Sees each callback before it runs; see {@link CallbackWatch}. */
  readonly watch?: CallbackWatch;
  /** The service cannot go on: stop it and start another. */
  readonly onFailed: (error: Error) => void;
  /** A new configuration is about to run: no callback of a handler that it brings has been called yet. */
  readonly onConfigured?: (config: Config) => void;
  /** Reloads before this service, which its metrics go on counting. */
  readonly reloads?: ReloadCounts;
}

export interface Service extends Lifecycle {
  readonly events: EventBus;
  /**
   * Reads the configuration's file anew once the service runs. `applied`: pools, handlers, callback modules and the log level
   * are the new ones. `refused`: nothing has changed. `restart`: neither, but stop this service and start another. The event
   * `config.reload` says why. Rejects when the service could not be started.
   */
  reload(): Promise<ReloadResult>;
}

export function createService(config: Config, options: ServiceOptions): Service {
  const { watch = unwatched, onFailed, onConfigured = () => undefined, reloads = noReloads } = options;
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

  let apply: (next: Config, handlers: readonly LoadedHandler[], running: Config) => Promise<void> = async () => undefined;

  async function start(): Promise<void> {
    const log = createLog({ level: config.logLevel });
    subscribeLog(events, log);
    for (const text of config.notices) events.emit('notice', { text });
    const handlers = await loadHandlers(config.handlers);

    const spool = await startSpool();
    const dispatcher = createDispatcher({ ...shared, ...config, spool, userAgent: `xmpp-event-pusher/${version}` });
    const evaluator = createEvaluator({ ...shared, handlers, limits: config.callbacks, watch, newId: () => nextId() as DeliveryId });
    const intake = createIntake({ ...shared, evaluate: evaluator.evaluate, append: dispatcher.accept });
    const sources = openSources(config.attachments, {
      ...shared,
      accept: intake.accept,
      marks: await spool.marks(),
      want: wantOf(handlers),
      newPacketId: () => nextId() as PacketId,
      readJid: createJidReader({ size: 10_000 }),
    });

    const metrics = await startAdmin({ spool, dispatcher, sources });
    teardown.add('the dispatcher', () => dispatcher.stop(config.drainTimeoutMs));
    await dispatcher.start();
    teardown.add('the intake', async () => void (await within(intake.idle(), config.drainTimeoutMs, systemTimers)));
    for (const source of sources) await begin(`attachment ${source.name}`, source);
    teardown.add('readiness', () => health.drain());
    apply = (next, loaded, running) => swap({ dispatcher, evaluator, sources, metrics, log }, { next, loaded, running });
  }

  /** The dispatcher is first, since it alone can fail; from there to the end nothing comes between. */
  async function swap(parts: Swapped, { next, loaded, running }: Change): Promise<void> {
    const handlers = loaded.map((handler) => handler.config);
    await parts.dispatcher.reconfigure({ pools: next.pools, handlers });
    onConfigured(next);
    parts.metrics.know({ pools: next.pools.map(({ id }) => id), handlers });
    parts.evaluator.swap(loaded);
    for (const source of parts.sources) source.renewWant(wantOf(loaded));
    parts.log.level = next.logLevel;
    for (const text of next.notices) if (!running.notices.includes(text)) events.emit('notice', { text });
  }

  const readAnew = createReloader<readonly LoadedHandler[]>({
    config,
    load: (handlers, reload) => loadHandlers(withFreshModules(handlers, reload)),
    apply: (next, loaded, running) => apply(next, loaded, running),
    timers: systemTimers,
  });

  async function reload(): Promise<ReloadResult> {
    await lifecycle.start();
    const reloaded = await readAnew();
    events.emit('config.reload', reloaded);
    return reloaded.result;
  }

  async function startSpool(): Promise<Spool> {
    const spool = openSpool(config.spool, shared);
    await begin('the spool', spool);
    await begin('the retention of dead letters', createRetention({ ...shared, spool, maxAgeMs: config.spool.deadLetterMaxAgeMs }));
    return spool;
  }

  async function startAdmin({ spool, dispatcher, sources }: Observed): Promise<Metrics> {
    const readings = {
      spoolStats: () => spool.stats(),
      inFlight: () => dispatcher.inFlight(),
      attached: () => health.attached(),
      uncommittedBytes: () => sources.reduce((sum, source) => sum + source.uncommittedBytes, 0),
    };
    const { hosts, handlers } = config;
    const pools = config.pools.map((pool) => pool.id);
    const { mongooseim } = config.metrics;
    const metrics = createMetrics({ ...shared, hosts, pools, handlers, readings, mongooseim, reloads, version });
    const admin = createAdmin({ config, metrics, health });
    await begin('the admin listener', admin);

    const address = `http://${admin.address.host}:${admin.address.port}`;
    events.emit('notice', { text: `metrics and health are at ${address}` });
    announceReady(events, health, address);
    return metrics;
  }

  const lifecycle = createLifecycle({ start, stop: () => teardown.run() });
  return { events, reload, ...lifecycle };
}

/** What a reload changes while it runs. */
interface Swapped {
  readonly dispatcher: Dispatcher;
  readonly evaluator: Evaluator;
  readonly sources: readonly Source[];
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface Change {
  readonly next: Config;
  /** The handlers of `next`; their modules' URLs are those that they were imported by. */
  readonly loaded: readonly LoadedHandler[];
  readonly running: Config;
}

/** What metrics are read from. */
interface Observed {
  readonly spool: Spool;
  readonly dispatcher: Dispatcher;
  readonly sources: readonly Source[];
}
