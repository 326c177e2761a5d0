/**
 * The composition root: the only file that knows all parts. Parts start from the last stage of the pipeline to the first, so each
 * finds the next one ready, and stop in reverse, so each can pass on what it holds.
 */

import type { SessionHandler } from '../pools/contract.ts';
import { openEventParts } from './admin/event-parts.ts';
import { Operations } from './admin/operations.ts';
import { AdminServer } from './admin/server.ts';
import { StatusBoard } from './admin/status/board.ts';
import { renewCertificates } from './config/listener-tls.ts';
import { orphanWarnings } from './config/notices.ts';
import { Reloader } from './config/reload.ts';
import { Redactor } from './config/secrets.ts';
import { limitConnections } from './config/service.ts';
import type { Config } from './config/service-config.ts';
import { AskDeadlines } from './delivery/ask/deadlines.ts';
import { AskFollow } from './delivery/ask/follow.ts';
import { Dispatcher } from './delivery/dispatcher.ts';
import { createFollowUp } from './delivery/follow-up/follow-up.ts';
import { MessageCarrier, MessageRouter, routesOf } from './delivery/follow-up/message-carrier.ts';
import { type DispatchConfig, messagePool } from './delivery/policy.ts';
import { createGateListener } from './gate/listener.ts';
import { askBeforePush } from './hooks/before-push/ask.ts';
import { AskedPushMaker } from './hooks/before-push/pushes.ts';
import { type CallbackWatch, unwatched } from './hooks/call.ts';
import { Evaluator } from './hooks/evaluate.ts';
import { createModuleCaller, loadExits } from './hooks/exit-modules.ts';
import { Gate } from './hooks/gate.ts';
import type { LoadedHandler } from './hooks/handler.ts';
import { Intake } from './hooks/intake.ts';
import { loadHandlers, withFreshModules } from './hooks/load.ts';
import { Replayer } from './hooks/replay.ts';
import { subscriptionOf } from './hooks/subscription.ts';
import { systemClock, systemTimers, within } from './kit/clock.ts';
import { createIdSource } from './kit/ids.ts';
import { createLifecycle, type Lifecycle, Teardown } from './kit/lifecycle.ts';
import { systemRandom } from './kit/pacing.ts';
import { openFilesLimit, packageVersion } from './kit/process.ts';
import type { DeliveryId } from './model/delivery.ts';
import type { PacketId } from './model/packet.ts';
import { createJidReader } from './packet/jid.ts';
import { openSources } from './sources/open.ts';
import type { Source } from './sources/source.ts';
import { History } from './spool/history/history.ts';
import type { HistorySpan } from './spool/history/record.ts';
import { HistoryRecorder } from './spool/history/recorder.ts';
import { historyFolder } from './spool/history/segments.ts';
import type { HistoryOpening } from './spool/history/writer.ts';
import { openSpool } from './spool/open.ts';
import { createRetention } from './spool/retention.ts';
import type { Spool } from './spool/spool.ts';
import { Conditions } from './telemetry/conditions.ts';
import { createEventBus, type EventBus, type Events } from './telemetry/events.ts';
import { Flow } from './telemetry/flow.ts';
import { emitReady, Health } from './telemetry/health.ts';
import { createLog, subscribeLog } from './telemetry/log.ts';
import { createMetrics, type Metrics, noReloads, type ReloadCounts, type ReloadResult } from './telemetry/metrics.ts';
import { RecentAttempts, RecentWithheld } from './telemetry/recent.ts';

export type { ReloadCounts, ReloadResult } from './telemetry/metrics.ts';

export interface ServiceOptions {
  /** Identifies this process to chat servers, also across restarts of the service inside it. Default: a new id for this service. */
  readonly instance?: string;
  /** Gets notice of each callback before it runs; see {@link CallbackWatch}. */
  readonly watch?: CallbackWatch;
  /** The service cannot continue: stop it and start another. */
  readonly onFailed: (error: Error) => void;
  /** A new configuration is about to run: no callback of its new handlers has been called yet. */
  readonly onConfigured?: (config: Config) => void;
  /** A reload has ended, one for changed files included. */
  readonly onReloaded?: (result: ReloadResult) => void;
  /** Whether an earlier start found the spool damaged; it is then checked in full before use. Default false. */
  readonly checkSpool?: boolean;
  /** Resolves when the address of the admin listener is free. */
  readonly beforeListening?: () => Promise<void>;
  /** Counts of reloads before this service, which its metrics continue. */
  readonly reloads?: ReloadCounts;
}

export function createService(config: Config, options: ServiceOptions): Service {
  return new Service(config, options);
}

export class Service implements Lifecycle {
  readonly events: EventBus = createEventBus();
  readonly #options: ServiceOptions;
  /** The running configuration and its handlers; a reload replaces both. */
  #config: Config;
  #handlers: readonly LoadedHandler[] = [];
  /** The configuration at the start, whose listeners run. */
  readonly #started: Config;
  readonly #watch: CallbackWatch;
  readonly #drainTimeoutMs: number;
  readonly #shared;
  readonly #redactor: Redactor;
  readonly #log;
  readonly #health;
  readonly #withheld;
  readonly #attempts: RecentAttempts;
  /** Undefined: settled events are not recorded. */
  readonly #recorder: HistoryRecorder | undefined;
  readonly #history: History | undefined;
  readonly #conditions: Conditions;
  readonly #nextId = createIdSource(systemClock);
  readonly #readJid = createJidReader({ size: 10_000 });
  readonly #teardown = new Teardown();
  readonly #lifecycle: Lifecycle;
  readonly #reloader: Reloader<readonly LoadedHandler[]>;
  #sources: readonly Source[] = [];
  /** Set once the service runs. */
  #parts: ReloadableParts | undefined;
  /** The last change of pools by a reload; stopping waits for it. */
  #swapping: Promise<void> = Promise.resolve();

  constructor(config: Config, options: ServiceOptions) {
    const { events } = this;
    this.#config = config;
    this.#started = config;
    this.#options = options;
    this.#watch = options.watch ?? unwatched;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    this.#shared = { clock: systemClock, random: systemRandom, timers: systemTimers, events, onFailed: options.onFailed };
    this.#redactor = new Redactor(config.redacted);
    this.#log = createLog({ level: config.logLevel, redact: this.#redactor.value });
    this.#health = new Health({ events, attachments: config.attachments, gate: config.gate !== undefined });
    this.#withheld = new RecentWithheld({ events, clock: systemClock });
    this.#attempts = new RecentAttempts({ events, clock: systemClock });
    const { enabled, bodies } = config.history;
    this.#recorder = enabled ? new HistoryRecorder({ events, clock: systemClock, bodies }) : undefined;
    this.#history = enabled ? new History(config.spool, { clock: systemClock }) : undefined;
    this.#conditions = new Conditions({ events, clock: systemClock });
    this.#lifecycle = createLifecycle({ start: () => this.#start(), stop: () => this.#teardown.run() });
    this.#reloader = new Reloader<readonly LoadedHandler[]>({
      config,
      load: (handlers, reload) => loadHandlers(reload === 0 ? handlers : withFreshModules(handlers, reload)),
      apply: (next, loaded) => this.#apply(next, loaded),
      onValid: (next, before) => this.#warnOfOrphans(next, before),
      timers: systemTimers,
    });
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * Reads the configuration file again once the service runs. `applied`: pools, handlers, callback modules and the log level
   * are the new ones. `refused`: nothing has changed. `restart`: nothing has changed, and the change needs a new service. The event
   * `config.reload` gives the reason. Rejects if the service could not be started.
   */
  async reload(): Promise<ReloadResult> {
    await this.start();
    return this.#reloaded(await this.#reloader.reload());
  }

  readonly #reloaded = (reloaded: Events['config.reload']): ReloadResult => {
    this.events.emit('config.reload', reloaded);
    this.#options.onReloaded?.(reloaded.result);
    return reloaded.result;
  };

  async #start(): Promise<void> {
    const config = this.#config;
    const { config: limited, notice } = limitConnections(config, openFilesLimit());
    subscribeLog(this.events, this.#log, config.log);
    for (const text of notice === undefined ? config.notices : [...config.notices, notice]) this.events.emit('notice', { text });
    this.#handlers = await loadHandlers(config.handlers);
    const modules = await loadExits(config.attachments);

    const spool = await this.#startSpool();
    const hooks = this.#hookOptions();
    const prepareAsked = new AskedPushMaker(hooks).prepare;
    const dispatcher = this.#createDispatcher(spool, prepareAsked);
    const evaluator = new Evaluator({ ...hooks, handlers: this.#handlers });
    const intake = new Intake({ ...this.#shared, evaluate: (packet) => evaluator.evaluate(packet), append: dispatcher.accept });
    this.#sources = await this.#openSources(limited, { spool, intake, modules });
    const replayer = new Replayer({ ...hooks, spool, accept: dispatcher.accept, wake: dispatcher.wake });
    const operations = new Operations({
      ...{ config: () => this.#config, spool, dispatcher, replayer },
      ...{ prepareAsked, attempts: this.#attempts, clock: systemClock },
    });

    const metrics = await this.#startAdmin(limited, { spool, dispatcher, operations });
    this.#teardown.add('the dispatcher', () => dispatcher.stop(this.#drainTimeoutMs));
    await dispatcher.start();
    this.#teardown.add('the pools that a reload replaces', () => this.#drained(this.#swapping));
    this.#teardown.add('the intake', () => this.#drained(intake.idle()));
    await this.#startGate(limited);
    for (const source of this.#sources) await this.#begin(`attachment ${source.name}`, source);
    this.#teardown.add('readiness', () => this.#health.drain());
    this.#parts = { spool, dispatcher, evaluator, metrics };
    await this.#begin('the watch of files', this.#reloader.watch(this.#reloaded));
  }

  /** Options of everything that calls callbacks. */
  #hookOptions() {
    const options = { ...this.#shared, newId: () => this.#nextId() as DeliveryId, readJid: this.#readJid };
    const own = { limits: this.#config.callbacks, watch: this.#watch, handlers: () => this.#handlers };
    return { ...options, ...own, beforeRequest: askBeforePush(options) };
  }

  /** Starts a part, which the teardown then stops. */
  async #begin(name: string, part: Lifecycle): Promise<void> {
    this.#teardown.add(name, () => part.stop());
    await part.start();
  }

  /** Resolves when the work has ended, at the latest after `drain_timeout`. */
  async #drained(work: Promise<void>): Promise<void> {
    await within(work, this.#drainTimeoutMs, systemTimers);
  }

  async #startSpool(): Promise<Spool> {
    const { spool: settings } = this.#config;
    const { deadLetterMaxAgeMs: maxAgeMs, deadLetterMax: maxLetters } = settings;
    const recorder = this.#recorder;
    const note = (span: HistorySpan) => this.#history?.note(span);
    const journal = recorder && { settings: this.#historyOpening(), take: () => recorder.take(), note };
    const spool = openSpool(settings, { ...this.#shared, journal, check: this.#options.checkSpool ?? false });
    await this.#begin('the spool', spool);
    await this.#begin('the retention of dead letters', createRetention({ ...this.#shared, spool, maxAgeMs, maxLetters }));
    return recorder?.recording(spool) ?? spool;
  }

  #historyOpening(): HistoryOpening {
    const { spool, history } = this.#config;
    const { maxAgeMs, maxBytes } = history;
    return { folder: historyFolder(spool.path), maxAgeMs, maxBytes, minFreeBytes: 2 * spool.minFreeBytes };
  }

  /** `follow`: the steps after a response, first asks, then orders of requests and messages. */
  #createDispatcher(spool: Spool, prepare: AskedPushMaker['prepare']): Dispatcher {
    const { callbacks: limits } = this.#config;
    const handlers = (): Config['handlers'] => this.#config.handlers;
    const sender = new MessageRouter({ ...this.#shared, routes: () => routesOf(this.#sources, this.#config) });
    const configOf = (name: string) => handlers().find((handler) => handler.name === name)?.followUp;
    const bareOf = (jid: string) => this.#readJid(jid).jid.bare;
    return new Dispatcher({
      ...this.#shared,
      ...servedBy(this.#config, this.#handlers),
      spool,
      userAgent: `xmpp-event-pusher/${packageVersion()}`,
      drainTimeoutMs: this.#drainTimeoutMs,
      limits,
      follow: [new AskFollow({ ...this.#shared, handlers, prepare }).follow, createFollowUp({ ...this.#shared, configOf, bareOf })],
      openDeadlines: (parts) => new AskDeadlines(parts),
      carriers: new Map([[messagePool, (callbacks) => new MessageCarrier({ ...callbacks, sender, clock: systemClock })]]),
    });
  }

  async #openSources({ attachments }: Config, { spool, intake, modules }: SourceParts): Promise<readonly Source[]> {
    const { timeoutMs } = this.#config.callbacks;
    return openSources(attachments, {
      ...this.#shared,
      ...this.#receptionOptions(),
      marks: await spool.marks(),
      subscription: subscriptionOf(this.#handlers),
      instance: this.#options.instance ?? this.#nextId(),
      modules,
      callModule: createModuleCaller({ ...this.#shared, watch: this.#watch, timeoutMs }),
      checks: () => this.#health.checks(),
      accept: intake.accept,
    });
  }

  #receptionOptions() {
    return { newPacketId: () => this.#nextId() as PacketId, readJid: this.#readJid };
  }

  async #startAdmin(limited: Config, { spool, dispatcher, operations }: ObservedParts): Promise<Metrics> {
    const readings = {
      spoolStats: () => spool.stats(),
      inFlight: () => dispatcher.inFlight(),
      orphans: () => dispatcher.orphans(),
      attached: () => this.#health.attached(),
      uncommittedBytes: () => this.#sources.reduce((sum, source) => sum + source.uncommittedBytes, 0),
    };
    const { hosts, handlers, metrics: settings } = this.#config;
    const metrics = createMetrics({
      ...this.#shared,
      ...{ hosts, handlers, readings, pools: this.#config.pools.map((pool) => pool.id) },
      ...{ mongooseim: settings.mongooseim, reloads: this.#options.reloads ?? noReloads, version: packageVersion() },
    });
    await this.#options.beforeListening?.();
    const status = await this.#startStatus(spool, operations);
    const eventParts = openEventParts({
      ...this.#shared,
      spool,
      place: this.#config.spool,
      operations,
      withheld: this.#withheld,
      history: this.#history,
      recorder: this.#recorder,
      wake: dispatcher.wake,
    });
    const api = { ...this.#shared, spool, operations, status, ...eventParts, withheld: this.#withheld, redactor: this.#redactor };
    const admin = new AdminServer({ ...this.#shared, config: limited, metrics, health: this.#health, api });
    await this.#begin('the admin listener', admin);

    const address = admin.origin;
    this.events.emit('notice', { text: `metrics and health are at ${address}` });
    emitReady(this.events, this.#health, address);
    return metrics;
  }

  async #startStatus(spool: Spool, operations: Operations): Promise<StatusBoard> {
    const conditions = this.#conditions;
    const levels = () => ({ tapFill: conditions.tapFill, waiting: spool.stats().depths.reduce((sum, { waiting }) => sum + waiting, 0) });
    const flow = new Flow({ ...this.#shared, levels });
    await this.#begin('the flow of the last hour', flow);
    const { engine, maxBytes } = this.#config.spool;
    return new StatusBoard({
      ...this.#shared,
      operations,
      conditions,
      flow,
      health: this.#health,
      spoolStats: () => spool.stats(),
      maxSpoolBytes: engine === 'sqlite' ? maxBytes : 0,
      history: this.#history,
    });
  }

  async #startGate({ gate: config, hosts }: Config): Promise<void> {
    if (config === undefined) return;
    const { decide } = new Gate({ ...this.#hookOptions(), timeoutMs: config.timeoutMs });
    await this.#begin('the gate', createGateListener({ ...this.#shared, ...this.#receptionOptions(), config, hosts, decide }));
  }

  #warnOfOrphans(next: Config, before: Config): void {
    if (this.#parts === undefined) return;
    const { depths } = this.#parts.spool.stats();
    for (const text of orphanWarnings(depths, next, before)) this.events.emit('notice', { text, level: 'warn' });
  }

  async #apply(next: Config, loaded: readonly LoadedHandler[]): Promise<void> {
    if (this.#parts === undefined) return;
    this.#redactor.add(next.redacted);
    this.#options.onConfigured?.(next);
    this.#swapping = this.#swap(this.#parts, next, loaded);
    [this.#handlers, this.#config] = [loaded, next];
    await this.#swapping;
  }

  /** All parts change in one turn, so each packet is evaluated by the old handlers or by the new ones. Resolves when new and changed pools run. */
  async #swap(parts: ReloadableParts, next: Config, loaded: readonly LoadedHandler[]): Promise<void> {
    const { dispatcher, evaluator, metrics } = parts;
    const { notices } = this.#config;
    const served = servedBy(next, loaded);
    const reconfigured = dispatcher.reconfigure(served);
    metrics.add({ pools: next.pools.map(({ id }) => id), handlers: served.handlers });
    evaluator.swap(loaded);
    for (const source of this.#sources) source.resubscribe(subscriptionOf(loaded));
    this.#log.level = next.logLevel;
    renewCertificates(this.#started, next);
    for (const text of next.notices) if (!notices.includes(text)) this.events.emit('notice', { text });
    await reconfigured;
  }
}

/** Parts of a running service that a reload changes. */
interface ReloadableParts {
  readonly spool: Spool;
  readonly dispatcher: Dispatcher;
  readonly evaluator: Evaluator;
  readonly metrics: Metrics;
}

/** Parts that metrics read and operators act on. */
interface ObservedParts extends Pick<ReloadableParts, 'dispatcher' | 'spool'> {
  readonly operations: Operations;
}

interface SourceParts {
  readonly spool: Spool;
  readonly intake: Intake;
  readonly modules: Awaited<ReturnType<typeof loadExits>>;
}

/** The part of the configuration that the dispatcher serves. */
function servedBy({ pools }: Pick<Config, 'pools'>, loaded: readonly LoadedHandler[]): DispatchConfig {
  return { pools, handlers: loaded.map(({ config }) => config), sessions: loaded.flatMap(sessionOf) };
}

/** A handler whose module has callbacks at delivery also runs in the threads of its pool. */
function sessionOf({ config: { name, module }, hasDeliveryCallbacks, opts }: LoadedHandler): readonly SessionHandler[] {
  return hasDeliveryCallbacks && module.kind === 'url' ? [{ name, url: module.url, opts }] : [];
}
