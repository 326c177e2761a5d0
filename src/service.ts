/**
 * The composition root: the only file that knows all parts. They are started against the way of a packet, so that each
 * finds the next one ready, and stopped along it, so that each can hand on what it holds.
 */

import type { Operations } from './admin/operations.ts';
import { createAdmin } from './admin/server.ts';
import { createAnswering } from './answering.ts';
import type { Config } from './config/config.ts';
import { orphanWarnings } from './config/notices.ts';
import { Reloader } from './config/reload.ts';
import { Redactor } from './config/secrets.ts';
import { limitConnections } from './config/service.ts';
import { Dispatcher } from './delivery/dispatcher.ts';
import { createGateListener } from './gate/listener.ts';
import { createAskedPushes } from './hooks/before-push/pushes.ts';
import { createModuleCaller } from './hooks/call-module.ts';
import { createEvaluator } from './hooks/evaluate.ts';
import { withFreshModules } from './hooks/fresh-modules.ts';
import { createGate } from './hooks/gate.ts';
import type { LoadedHandler } from './hooks/handler.ts';
import { createIntake } from './hooks/intake.ts';
import { loadExits, loadHandlers } from './hooks/load.ts';
import { createReviver } from './hooks/revive.ts';
import { subscriptionOf } from './hooks/subscription.ts';
import { type CallbackWatch, unwatched } from './hooks/watch.ts';
import { systemClock, systemTimers, within } from './kit/clock.ts';
import { createIdSource } from './kit/ids.ts';
import { createLifecycle, type Lifecycle, Teardown } from './kit/lifecycle.ts';
import { systemRandom } from './kit/pacing.ts';
import { openFilesLimit, packageVersion } from './kit/process.ts';
import type { DeliveryId } from './model/delivery.ts';
import type { PacketId } from './model/packet.ts';
import { createOperations } from './operations.ts';
import { createJidReader } from './packet/jid.ts';
import { openSources } from './sources/open.ts';
import type { Source } from './sources/source.ts';
import { openSpool } from './spool/open.ts';
import { createRetention } from './spool/retention.ts';
import type { Spool } from './spool/spool.ts';
import { partsOf, swap } from './swap.ts';
import type { EventBus } from './telemetry/events.ts';
import { createEventBus } from './telemetry/events.ts';
import { announceReady, createHealth } from './telemetry/health.ts';
import { createLog, subscribeLog } from './telemetry/log.ts';
import { createMetrics, type Metrics, noReloads, type ReloadCounts, type ReloadResult } from './telemetry/metrics.ts';
import { createRecentWithheld, RecentAttempts } from './telemetry/recent.ts';

export type { ReloadCounts, ReloadResult } from './telemetry/metrics.ts';

export interface ServiceOptions {
  /** Names this process to chat servers, over one service in it after the other. Default: one for this service alone. */
  readonly instance?: string;
  /** Sees each callback before it runs; see {@link CallbackWatch}. */
  readonly watch?: CallbackWatch;
  /** The service cannot go on: stop it and start another. */
  readonly onFailed: (error: Error) => void;
  /** A new configuration is about to run: no callback of a handler that it brings has been called yet. */
  readonly onConfigured?: (config: Config) => void;
  /** Whether an earlier start found the spool damaged; it is then checked in full before use. Default false. */
  readonly checkSpool?: boolean;
  /** Resolves when the address of the admin listener is free. */
  readonly beforeListening?: () => Promise<void>;
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
  const { checkSpool = false, beforeListening = async () => undefined } = options;
  const events = createEventBus();
  const health = createHealth({ events, attachments: config.attachments, gate: config.gate !== undefined });
  const withheld = createRecentWithheld({ events, clock: systemClock });
  const attempts = new RecentAttempts({ events, clock: systemClock });
  const teardown = new Teardown();
  const nextId = createIdSource(systemClock);
  const shared = { clock: systemClock, random: systemRandom, timers: systemTimers, events, onFailed };
  const redactor = new Redactor(config.redacted);
  const log = createLog({ level: config.logLevel, redact: redactor.value });
  const { config: limited, notice } = limitConnections(config, openFilesLimit());
  let running = config;
  let swapping: Promise<void> = Promise.resolve();
  let warnOfOrphans: (next: Config, before: Config) => void = () => undefined;
  let apply: (next: Config, loaded: readonly LoadedHandler[]) => Promise<void> = async () => undefined;

  async function begin(what: string, part: Lifecycle): Promise<void> {
    teardown.add(what, () => part.stop());
    await part.start();
  }

  async function start(): Promise<void> {
    subscribeLog(events, log);
    for (const text of notice === undefined ? config.notices : [...config.notices, notice]) events.emit('notice', { text });
    let handlers = await loadHandlers(config.handlers);
    const modules = await loadExits(config.attachments);

    const readJid = createJidReader({ size: 10_000 });
    const hooks = { ...shared, limits: config.callbacks, watch, newId: () => nextId() as DeliveryId, readJid };
    const prepareAsked = createAskedPushes({ ...hooks, handlers: () => handlers });

    const spool = await startSpool();
    const userAgent = `xmpp-event-pusher/${packageVersion()}`;
    const { drainTimeoutMs, callbacks: limits } = config;
    const dispatcher = new Dispatcher({
      ...shared,
      ...partsOf(config, handlers),
      spool,
      userAgent,
      drainTimeoutMs,
      limits,
      ...createAnswering({ ...shared, config: () => running, sources: () => sources, prepare: prepareAsked }),
    });
    const evaluator = createEvaluator({ ...hooks, handlers });
    const reviver = createReviver({ ...hooks, handlers: () => handlers });
    const intake = createIntake({ ...shared, evaluate: evaluator.evaluate, append: dispatcher.accept });
    const reading = { newPacketId: () => nextId() as PacketId, readJid };
    const attaching = {
      ...reading,
      marks: await spool.marks(),
      subscription: subscriptionOf(handlers),
      instance: options.instance ?? nextId(),
    };
    const callModule = createModuleCaller({ ...shared, watch, timeoutMs: limits.timeoutMs });
    const exits = { modules, callModule, checks: () => health.checks() };
    const sources = openSources(limited.attachments, { ...shared, ...attaching, ...exits, accept: intake.accept });
    const operations = createOperations({ ...shared, config: () => running, spool, dispatcher, reviver, prepareAsked, attempts });

    const metrics = await startAdmin({ spool, dispatcher, sources, operations });
    teardown.add('the dispatcher', () => dispatcher.stop(drainTimeoutMs));
    await dispatcher.start();
    teardown.add('the pools that a reload replaces', async () => void (await within(swapping, drainTimeoutMs, systemTimers)));
    teardown.add('the intake', async () => void (await within(intake.idle(), drainTimeoutMs, systemTimers)));
    if (limited.gate !== undefined) {
      const decide = createGate({ ...hooks, handlers: () => handlers, timeoutMs: limited.gate.timeoutMs });
      await begin('the gate', createGateListener({ ...shared, ...reading, config: limited.gate, hosts: config.hosts, decide }));
    }
    for (const source of sources) await begin(`attachment ${source.name}`, source);
    teardown.add('readiness', () => health.drain());

    warnOfOrphans = (next, before) => {
      for (const text of orphanWarnings(spool.stats().depths, next, before)) events.emit('notice', { text, level: 'warn' });
    };
    apply = async (next, loaded) => {
      redactor.add(next.redacted);
      onConfigured(next);
      swapping = swap({ dispatcher, evaluator, sources, metrics, log, events }, { next, loaded, running });
      [handlers, running] = [loaded, next];
      await swapping;
    };
  }

  const reloader = new Reloader<readonly LoadedHandler[]>({
    config,
    load: (handlers, reload) => loadHandlers(withFreshModules(handlers, reload)),
    apply: (next, loaded) => apply(next, loaded),
    onValid: (next, before) => warnOfOrphans(next, before),
    timers: systemTimers,
  });

  async function reload(): Promise<ReloadResult> {
    await lifecycle.start();
    const reloaded = await reloader.reload();
    events.emit('config.reload', reloaded);
    return reloaded.result;
  }

  async function startSpool(): Promise<Spool> {
    const { deadLetterMaxAgeMs: maxAgeMs, deadLetterMax: maxLetters } = config.spool;
    const spool = openSpool(config.spool, { ...shared, check: checkSpool });
    await begin('the spool', spool);
    await begin('the retention of dead letters', createRetention({ ...shared, spool, maxAgeMs, maxLetters }));
    return spool;
  }

  async function startAdmin({ spool, dispatcher, sources, operations }: Observed): Promise<Metrics> {
    const readings = {
      spoolStats: () => spool.stats(),
      inFlight: () => dispatcher.inFlight(),
      orphans: () => dispatcher.orphans(),
      attached: () => health.attached(),
      uncommittedBytes: () => sources.reduce((sum, source) => sum + source.uncommittedBytes, 0),
    };
    const {
      hosts,
      handlers,
      metrics: { mongooseim },
    } = config;
    const pools = config.pools.map((pool) => pool.id);
    const metrics = createMetrics({ ...shared, hosts, pools, handlers, readings, mongooseim, reloads, version: packageVersion() });
    await beforeListening();
    const admin = createAdmin({ ...shared, config: limited, metrics, health, api: { ...shared, spool, operations, withheld, redactor } });
    await begin('the admin listener', admin);

    const address = `http://${admin.address.host}:${admin.address.port}`;
    events.emit('notice', { text: `metrics and health are at ${address}` });
    announceReady(events, health, address);
    return metrics;
  }

  const lifecycle = createLifecycle({ start, stop: () => teardown.run() });
  return { events, reload, ...lifecycle };
}

/** What metrics are read from, and operators act on. */
interface Observed {
  readonly spool: Spool;
  readonly dispatcher: Dispatcher;
  readonly sources: readonly Source[];
  readonly operations: Operations;
}
