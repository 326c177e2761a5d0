import { resolve } from 'node:path';
import type { PostgresConfig } from '../config/config.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadSpool } from '../config/load.ts';
import { createRfc3339 } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { type Backup, backUp, checkFile, type Fault, readInfo, type SpoolInfo } from '../spool/inspect.ts';
import type { Call, Command } from './command.ts';
import { counted, facts, output, printable, table } from './terminal.ts';
import { localTime } from './times.ts';

/** The commands about the spool itself. They work with and without a running service. */
export const spoolCommands: readonly Command[] = [
  {
    name: 'spool info',
    synopsis: '[--config FILE] [--json]',
    description: "shows the content of the spool's file or tables, and the process that uses it",
    options: ['config', 'json'],
    run: info,
  },
  {
    name: 'spool backup',
    synopsis: 'TARGET [--config FILE]',
    description: 'copies the spool, also while it is in use, into TARGET, and its history into TARGET-history',
    operands: { least: 1, most: 1, files: true },
    options: ['config'],
    run: copy,
  },
  {
    name: 'spool check',
    synopsis: '[--config FILE] [--json]',
    description: "checks the spool's file or tables and lists faults",
    options: ['config', 'json'],
    run: check,
  },
];

async function info(call: Call): Promise<number> {
  const spool = await spoolOf(call);
  const found = await spool.info();
  if (found === undefined) output(call.values.json, { path: spool.path, exists: false }, `${spool.absence}\n`);
  else output(call.values.json, infoAsJson(found), infoText(found, spool.kind));
  return 0;
}

async function copy(call: Call): Promise<number> {
  const spool = await spoolOf(call);
  const target = resolve(call.operands[0] ?? '');
  const backup = spool.backUp(target);
  if (backup === undefined) throw new ServiceError('SPOOL_BACKUP_FAILED', `${spool.absence}: there is nothing to back up`);
  const { bytes, historyBytes } = backup;
  const history = historyBytes === undefined ? '' : `${target}-history: ${counted(historyBytes, 'byte')}\n`;
  output(false, undefined, `${target}: ${counted(bytes, 'byte')}\n${history}`);
  return 0;
}

async function check(call: Call): Promise<number> {
  const spool = await spoolOf(call);
  const { path } = spool;
  const faults = await spool.check();
  if (faults === undefined) {
    output(call.values.json, { path, exists: false, faults: [] }, `${spool.absence}\n`);
    return 0;
  }
  output(call.values.json, { path, exists: true, faults }, faults.length === 0 ? `${path}: no faults.\n` : faultText(faults));
  return faults.length === 0 ? 0 : 1;
}

/** A spool as these commands see it. Each answer is undefined if there is none. */
interface InspectedSpool {
  readonly kind: 'file' | 'tables';
  readonly path: string | null;
  /** Says that there is none. */
  readonly absence: string;
  info(): Promise<SpoolInfo | undefined> | SpoolInfo | undefined;
  check(): Promise<readonly Fault[] | undefined> | readonly Fault[] | undefined;
  backUp(target: string): Backup | undefined;
}

async function spoolOf({ values }: Call): Promise<InspectedSpool> {
  const env = readEnvironment();
  const { engine, path, postgres } = await loadSpool(locateConfig(values.config, env), env);
  if (postgres !== undefined) return await tablesOf(postgres);
  if (engine === 'memory')
    return { kind: 'file', path: null, absence: 'spool.engine is "memory": there is no file', info: none, check: none, backUp: none };
  return {
    kind: 'file',
    path,
    absence: absence(`at ${path}`),
    info: () => readInfo(path),
    check: () => checkFile(path),
    backUp: (target) => backUp(path, target),
  };
}

function none(): undefined {
  return undefined;
}

async function tablesOf(config: PostgresConfig): Promise<InspectedSpool> {
  const { checkTables, readTables } = await import('../spool/postgres/inspect.ts'); // loads the driver, which files do not need
  return {
    kind: 'tables',
    path: `schema ${config.schema}`,
    absence: absence(`in schema ${config.schema} of PostgreSQL`),
    info: () => readTables(config),
    check: () => checkTables(config),
    backUp: () => {
      const text = `the spool is in PostgreSQL and not in a file: back it up with pg_dump --schema=${config.schema}, or the whole server with pg_basebackup`;
      throw new ServiceError('SPOOL_ENGINE_UNSUPPORTED', text);
    },
  };
}

function absence(place: string): string {
  return `there is no spool ${place} yet: the service creates it when it first starts`;
}

function faultText(faults: readonly Fault[]): string {
  return faults.map(({ what, remedy }) => `- ${printable(what)}\n  ${remedy}\n`).join('');
}

/** The content of a spool as JSON, with times in RFC 3339. `waiting`: all pending deliveries of a queue, ready and claimed ones too. */
export function infoAsJson({ oldest, ...info }: SpoolInfo): object {
  const rfc3339 = createRfc3339();
  return { exists: true, ...info, oldest: Object.fromEntries(Array.from(oldest, ([pool, at]) => [pool, rfc3339(at)])) };
}

/** The same as text. */
export function infoText(
  { path, bytes, version, isOld, holder, queues, oldest, marks, paused }: SpoolInfo,
  kind: InspectedSpool['kind'] = 'file',
): string {
  const rfc3339 = createRfc3339();
  const head = facts([
    [kind, path],
    ['size', `${(bytes / 1024 ** 2).toFixed(1)} MiB`],
    ['schema', isOld ? `${version}, of an older version: the service upgrades it when it starts` : String(version)],
    ['used by', holder === null ? 'no process' : typeof holder === 'number' ? `process ${holder}` : holder],
    ['paused', paused.length === 0 ? '-' : paused.join(', ')],
    ...Array.from(oldest, ([pool, at]) => ['oldest', `${localTime(rfc3339(at))} of pool ${pool}`] as const),
    ...marks.map(({ attachment, host, node, epoch, h }) => ['mark', `${attachment}: ${host} ${node} ${shortened(epoch)} ${h}`] as const),
  ]);
  if (isOld) return head;
  const rows = queues.map(({ pool, handler, waiting, dead }) => [pool, handler, String(waiting), String(dead)]);
  return `${head}\n${rows.length === 0 ? `${counted(0, 'delivery', 'deliveries')}\n` : table(['POOL', 'HANDLER', 'WAITING', 'DEAD'], rows)}`;
}

/** Shortens a mark; the mark of an archive may name hundreds of messages. */
function shortened(epoch: string): string {
  return epoch.length <= maxEpochLength ? epoch : `${epoch.slice(0, maxEpochLength)}…`;
}

const maxEpochLength = 64;
