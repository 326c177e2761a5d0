import type { HandlerConfig } from '../config/config.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/mistakes.ts';
import { orphanWarnings } from '../config/notices.ts';
import { effectiveUrl } from '../config/pool.ts';
import { createMask, withoutSecrets } from '../config/secrets.ts';
import type { Config } from '../config/service-config.ts';
import { loadExits } from '../hooks/exit-modules.ts';
import { loadHandlers } from '../hooks/load.ts';
import { ServiceError } from '../kit/errors.ts';
import { requireAddon } from '../spool/addon.ts';
import type { SpoolInfo } from '../spool/inspect.ts';
import { requireUsable } from '../spool/usable.ts';
import { requireAddresses } from './check-addresses.ts';
import { probeAll } from './check-online.ts';
import type { Call, Command } from './command.ts';
import { effectiveSections } from './effective-sections.ts';
import { columns, listItem, printable } from './terminal.ts';
import { tomlSection } from './toml-text.ts';

export const checkCommand: Command = {
  name: 'check',
  synopsis: '[--online] [--config FILE] [--json]',
  description: 'validates the configuration and its callback modules, and prints it; --online connects, too',
  options: ['config', 'json', 'online'],
  run: check,
};

interface CheckOptions {
  readonly file: string;
  /** Whether to connect to the chat servers and backends, too. */
  readonly online: boolean;
}

/**
 * Validates the configuration, loads the callback modules, tries the spool and the listeners, and prints the effective configuration. Throws
 * what `run` would refuse. Exit code 1 if a connection failed.
 */
async function check({ values }: Call): Promise<number> {
  requireAddon();
  const options = { file: locateConfig(values.config, readEnvironment()), online: values.online === true };
  if (values.json === true) return checkJson(options);
  const config = await loadChecked(options.file);
  process.stdout.write(renderCheck(config));
  if (!options.online) return 0;
  const probes = await probeAll(config);
  process.stdout.write(
    `\nConnections:\n${probes.map(({ name, ok, detail }) => `${listItem(printable(`${ok ? 'ok' : 'FAILED'}: ${name}: ${detail}`))}\n`).join('')}`,
  );
  return probes.every(({ ok }) => ok) ? 0 : 1;
}

/** The configuration, with warnings about modules and the backlog on disk among its notices. Throws what `run` would refuse. */
export async function loadChecked(file: string): Promise<Config> {
  const config = await loadConfig(file, readEnvironment());
  const handlers = await loadModules(config);
  const ofSpool = noticesOfSpool(config);
  await requireAddresses(config);
  return { ...config, notices: [...config.notices, ...handlers.flatMap(uncalledBy), ...ofSpool] };
}

type LoadedHandler = Awaited<ReturnType<typeof loadHandlers>>[number];

/** A notice for exports that the author may have meant as callbacks. */
function uncalledBy({ config: { name, callbackModule }, uncalled }: LoadedHandler): readonly string[] {
  if (uncalled.length === 0) return [];
  return [`handler ${name}: ${callbackModule} exports functions that are not callbacks and are never called: ${uncalled.join(', ')}`];
}

/** Throws if no service could start with the spool. */
function noticesOfSpool(config: Config): readonly string[] {
  const info = requireUsable(config.spool, { hasHistory: config.history.enabled });
  if (info === undefined) return [];
  if (info === 'busy') return ['the backlog on disk was not checked: another process writes to the spool'];
  return info.isOld ? [upgradeNotice(info)] : [...orphanWarnings(info.queues, config), ...info.paused.flatMap(downgradeNotice)];
}

function upgradeNotice({ path, version }: SpoolInfo): string {
  return `the spool at ${path} has schema ${version} of an earlier version, and the next start upgrades it: that version then refuses it, so run "event-pusher spool backup" first`;
}

/** An earlier version, which knows pauses of pools only, opens the spool and sends the deliveries of paused handlers. */
function downgradeNotice(paused: string): readonly string[] {
  const [pool, handler] = paused.split('/');
  if (handler === undefined) return [];
  return [
    `the handler ${handler} on the pool ${pool} is paused: a version without "pools pause POOL/HANDLER" would send its deliveries, so pause the pool before you go back to one`,
  ];
}

/**
 * An import error of a module may quote a secret: the message is masked, and the cause is left out. A module that ends the process would
 * end the service's thread, too.
 */
async function loadModules({ handlers, attachments, redacted }: Config): Promise<readonly LoadedHandler[]> {
  process.once('exit', failEarly);
  try {
    const loaded = await loadHandlers(handlers);
    await loadExits(attachments);
    return loaded;
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown;
    throw new ServiceError(thrown.code, createMask(redacted)(thrown.message));
  } finally {
    process.off('exit', failEarly);
  }
}

function failEarly(): void {
  process.exitCode = 1;
  process.stderr.write('event-pusher: a callback module ends the process while it is imported: remove its call of process.exit\n');
}

/** The same as JSON on standard output, including the mistakes. */
async function checkJson({ file, online }: CheckOptions): Promise<number> {
  try {
    const config = await loadChecked(file);
    const probes = online ? await probeAll(config) : [];
    print({ ...checkAsJson(config), ...(online ? { online: probes } : {}) });
    return probes.every(({ ok }) => ok) ? 0 : 1;
  } catch (thrown) {
    if (!(thrown instanceof ConfigInvalid)) throw thrown;
    print({ mistakes: thrown.mistakes });
    return 1;
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** The output of `check`: the effective configuration as TOML, the URL of each handler, and the notices. No secrets. */
export function renderCheck(config: Config): string {
  const sections = effectiveSections(config).map((section) => tomlSection(section, columns));
  const blocks = [`# ${config.file}`, ...sections, handlerTable(config), noticeList(config.notices)];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

/** {@link renderCheck} as JSON: durations in ms, sizes in bytes, no secrets. */
export function checkAsJson(config: Config): Readonly<Record<string, unknown>> {
  const { redacted, pools, handlers, ...rest } = config;
  const whole = {
    ...rest,
    pools: pools.map(({ tls, ...pool }) => ({
      ...pool,
      tls: { ...tls, ca: tls.ca && '[read]', cert: tls.cert && '[read]', key: tls.key && '[redacted]' },
    })),
    handlers: handlers.map((handler) => {
      const [askUrl] = questionUrl(handler, config);
      return { ...handler, method: 'POST', url: urlOf(handler, config), ...(askUrl === undefined ? {} : { askUrl }) };
    }),
  };
  return withoutSecrets(whole, createMask(redacted));
}

function handlerTable(config: Config): string {
  const mask = createMask(config.redacted);
  const rows = config.handlers.flatMap((handler) => [
    ...questionUrl(handler, config).map((url) => ({ name: `${handler.name}, asked first`, url: mask(url), orders: '' })),
    { name: handler.name, url: mask(urlOf(handler, config)), orders: mask(ordersOf(handler)) },
  ]);
  if (rows.length === 0) return '';

  const width = Math.max(...rows.map(({ name }) => name.length), 'handler'.length);
  const lines = rows.map(({ name, url, orders }) => `  ${name.padEnd(width)}  POST ${url}${orders}`);
  const narrow = lines.every((line) => line.length <= columns);
  const shown = narrow ? lines : rows.map(({ name, url, orders }) => `  ${name}\n    POST ${url}${orders}`);
  return ['Requests go to:', ...shown].join('\n');
}

/** Permitted destinations of requests that the backend orders. */
function ordersOf({ followUp }: HandlerConfig): string {
  return followUp === undefined ? '' : `, and ordered requests to ${followUp.allow.join(', ')}`;
}

function urlOf(handler: HandlerConfig, { pools }: Config): string {
  const pool = pools.find(({ id }) => id === handler.pool);
  return pool === undefined ? handler.requestPath : effectiveUrl(pool, handler);
}

/** The URL of a handler's questions, where `COMMAND` stands for the commands of `openim-3`; empty without `before_push`. */
function questionUrl({ beforePush }: HandlerConfig, { pools }: Config): readonly string[] {
  const pool = pools.find(({ id }) => id === beforePush?.pool);
  if (beforePush === undefined || pool === undefined) return [];
  const url = effectiveUrl(pool, beforePush);
  return [beforePush.form === 'openim-3' ? url.replace(/\/?(?=$|\?)/, '/COMMAND') : url];
}

function noticeList(notices: readonly string[]): string {
  return notices.length === 0 ? '' : ['Notices:', ...notices.map(listItem)].join('\n');
}
