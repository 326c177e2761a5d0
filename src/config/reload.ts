import { type Timers, within } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { ListenerTls } from '../kit/listener-tls.ts';
import { Secret } from '../kit/secret.ts';
import type { HandlerConfig } from './config.ts';
import { readEnvironment } from './environment.ts';
import { loadConfig, requireAttachment } from './load.ts';
import { FileWatch } from './named-files.ts';
import type { Config } from './service-config.ts';

/** The result of a reload, and its reason: the changes, or the mistakes. */
interface Reloaded {
  readonly result: 'applied' | 'refused' | 'restart';
  readonly reason: string;
}

export interface ReloaderOptions<Loaded> {
  /** The running configuration at the start. */
  readonly config: Config;
  /** Imports the callback modules; `reload` counts from 1, and a number again means the modules that run. Throws their mistakes. */
  load(handlers: readonly HandlerConfig[], reload: number): Promise<Loaded>;
  /** Hands the new configuration to the running parts. If it throws, the old configuration must stay in use. */
  apply(next: Config, loaded: Loaded, running: Config): Promise<void>;
  /** Called with a valid configuration before it is applied. */
  onValid?(next: Config, running: Config): void;
  readonly timers: Timers;
}

/** A module that never finishes loading must not block later reloads. */
const loadTimeoutMs = 30_000;

/**
 * Reloads the configuration file of a running service, one reload at a time. The whole file is checked and its modules are
 * imported before it is applied. A change that a running service cannot apply requires a restart; a mistake leaves the old
 * configuration in use.
 */
export class Reloader<Loaded> {
  readonly #options: ReloaderOptions<Loaded>;
  #running: Config;
  #reloads = 0;
  /** The reload whose modules run; 0: those of the start. */
  #modules = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ReloaderOptions<Loaded>) {
    this.#options = options;
    this.#running = options.config;
  }

  readonly reload = (): Promise<Reloaded> => this.#inTurn(() => this.#reloadFile());

  /**
   * Takes over changes of the files that the running configuration names: secrets, certificates, keys. The configuration file and the
   * callback modules stay as they are. What would need a restart keeps its old value until the next `reload`; the reason says so.
   */
  readonly renew = (): Promise<Reloaded> => this.#inTurn(() => this.#renewFiles());

  /** Renews whenever the files change. */
  watch(onRenewed: (renewed: Reloaded) => void): Lifecycle {
    const onChanged = async (): Promise<void> => onRenewed(await this.renew());
    return createLifecycle(new FileWatch({ inUse: () => this.#running.files, onChanged, timers: this.#options.timers }));
  }

  #inTurn(reload: () => Promise<Reloaded>): Promise<Reloaded> {
    const reloaded = this.#last.then(() => reload().catch(refusalOf));
    this.#last = reloaded;
    return reloaded;
  }

  async #reloadFile(): Promise<Reloaded> {
    const next = await loadConfig(this.#running.file, readEnvironment());
    requireAttachment(next);
    this.#reloads += 1;
    const modules = this.#reloads;
    const loaded = await this.#load(next.handlers, modules);
    this.#options.onValid?.(next, this.#running);
    const fixed = fixedDifferences(this.#running, next);
    if (fixed.length > 0) return { result: 'restart', reason: `${fixed.join(', ')} changed` };

    const reason = describeDifferences(this.#running, next);
    await this.#options.apply(next, loaded, this.#running);
    this.#running = next;
    this.#modules = modules;
    return { result: 'applied', reason };
  }

  async #renewFiles(): Promise<Reloaded> {
    const running = this.#running;
    const renewed = await running.renewed(readEnvironment());
    const fixed = fixedDifferences(running, renewed);
    const next = fixed.length === 0 ? renewed : withPartsOf(running, renewed);
    const loaded = await this.#load(next.handlers, this.#modules);
    const differences = describeDifferences(running, next, 'no setting that can be applied now');
    await this.#options.apply(next, loaded, running);
    this.#running = next;
    const waiting = fixed.length === 0 ? '' : `; changes of ${fixed.join(', ')} need SIGHUP, which restarts the service`;
    return { result: 'applied', reason: `files changed: ${differences}${waiting}` };
  }

  async #load(handlers: readonly HandlerConfig[], modules: number): Promise<Loaded> {
    const loading = this.#options.load(handlers, modules);
    if (await within(loading, loadTimeoutMs, this.#options.timers)) return loading;
    const message = `the callback modules did not load within ${loadTimeoutMs / 1000} s: one of them waits at its top level`;
    throw new ServiceError('CALLBACK_LOAD_FAILED', message);
  }
}

function refusalOf(thrown: unknown): Reloaded {
  return { result: 'refused', reason: toError(thrown).message };
}

/** The parts of the file that a running service cannot change. */
const fixedParts = {
  attach: 'attachments',
  'general.hosts': 'hosts',
  callbacks: 'callbacks',
  spool: 'spool',
  history: 'history',
  admin: 'admin',
  gate: 'gate',
  log: 'log',
  metrics: 'metrics',
  service: 'drainTimeoutMs',
} as const satisfies Readonly<Record<string, keyof Config>>;

/** Those of them that differ. */
export function fixedDifferences(running: Config, next: Config): readonly string[] {
  return Object.entries(fixedParts).flatMap(([name, part]) => (isSame(running[part], next[part]) ? [] : [name]));
}

/** `next` with the fixed parts of the running configuration. */
function withPartsOf(running: Config, next: Config): Config {
  const parts = Object.values(fixedParts).filter((part) => !isSame(running[part], next[part]));
  return { ...next, ...Object.fromEntries(parts.map((part) => [part, running[part]])) };
}

/** The changes of pools, handlers and log level in words: `pools added b, changed a; handlers removed x`. */
export function describeDifferences(running: Config, next: Config, none = 'callback modules only'): string {
  const named = ({ handlers }: Config) => handlers.map(({ name, ...rest }) => ({ id: name, ...rest }));
  const differences = [
    describeList('pools', running.pools, next.pools),
    describeList('handlers', named(running), named(next)),
    running.logLevel === next.logLevel ? '' : `loglevel ${next.logLevel}`,
  ].filter((text) => text !== '');
  return differences.length === 0 ? none : differences.join('; ');
}

interface Named {
  readonly id: string;
}

function describeList(noun: string, running: readonly Named[], next: readonly Named[]): string {
  const before = new Map(running.map((item) => [item.id, item]));
  const after = new Map(next.map((item) => [item.id, item]));
  const groups: readonly (readonly [verb: string, names: readonly string[]])[] = [
    ['added', [...after.keys()].filter((id) => !before.has(id))],
    ['removed', [...before.keys()].filter((id) => !after.has(id))],
    ['changed', [...after].filter(([id, item]) => before.has(id) && !isSame(before.get(id), item)).map(([id]) => id)],
  ];
  const changes = groups.filter(([, names]) => names.length > 0).map(([verb, names]) => `${verb} ${names.join(' ')}`);
  return changes.length === 0 ? '' : `${noun} ${changes.join(', ')}`;
}

/** Deep equality; secrets are compared by their values. The certificates of a listener may change while it runs. */
function isSame(one: unknown, other: unknown): boolean {
  if (one instanceof Secret && other instanceof Secret) return one.reveal() === other.reveal();
  if (one instanceof ListenerTls && other instanceof ListenerTls) return isSame(one.pem.ca === undefined, other.pem.ca === undefined);
  if (!isObject(one) || !isObject(other)) return Object.is(one, other);
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Array.isArray(one) === Array.isArray(other) && [...keys].every((key) => isSame(one[key], other[key]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
