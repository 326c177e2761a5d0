import { resolve } from 'node:path';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadSpool } from '../config/load.ts';
import { createRfc3339 } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { backUp, checkFile, type Fault, readInfo, type SpoolInfo } from '../spool/inspect.ts';
import type { Call, Command } from './command.ts';
import { counted, facts, output, printable, table } from './terminal.ts';
import { localTime } from './times.ts';

/** The commands about the spool's file. They work with and without a running service. */
export const spoolCommands: readonly Command[] = [
  {
    name: 'spool info',
    synopsis: '[--config FILE] [--json]',
    description: "shows the content of the spool's file, and the process that uses it",
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
    description: "checks the spool's file and lists its faults",
    options: ['config', 'json'],
    run: check,
  },
];

async function info(call: Call): Promise<number> {
  const path = await pathOf(call);
  const found = path === undefined ? undefined : readInfo(path);
  if (found === undefined) output(call.values.json, { path: path ?? null, exists: false }, `${absence(path)}\n`);
  else output(call.values.json, infoAsJson(found), infoText(found));
  return 0;
}

async function copy(call: Call): Promise<number> {
  const path = await pathOf(call);
  const target = resolve(call.operands[0] ?? '');
  const backup = path === undefined ? undefined : backUp(path, target);
  if (backup === undefined) throw new ServiceError('SPOOL_BACKUP_FAILED', `${absence(path)}: there is nothing to back up`);
  const { bytes, historyBytes } = backup;
  const history = historyBytes === undefined ? '' : `${target}-history: ${counted(historyBytes, 'byte')}\n`;
  output(false, undefined, `${target}: ${counted(bytes, 'byte')}\n${history}`);
  return 0;
}

async function check(call: Call): Promise<number> {
  const path = await pathOf(call);
  const faults = path === undefined ? undefined : checkFile(path);
  if (faults === undefined) {
    output(call.values.json, { path: path ?? null, exists: false, faults: [] }, `${absence(path)}\n`);
    return 0;
  }
  output(call.values.json, { path, exists: true, faults }, faults.length === 0 ? `${path}: no faults.\n` : faultText(faults));
  return faults.length === 0 ? 0 : 1;
}

/** Undefined for a spool in memory. */
async function pathOf({ values }: Call): Promise<string | undefined> {
  const env = readEnvironment();
  const { engine, path } = await loadSpool(locateConfig(values.config, env), env);
  if (engine === 'postgres')
    throw new ServiceError(
      'SPOOL_ENGINE_UNSUPPORTED',
      'the spool is in PostgreSQL and not in a file: use the tools of PostgreSQL, such as pg_dump',
    );
  return engine === 'memory' ? undefined : path;
}

function absence(path: string | undefined): string {
  return path === undefined
    ? 'spool.engine is "memory": there is no file'
    : `there is no spool at ${path} yet: the service creates it when it first starts`;
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
export function infoText({ path, bytes, version, isOld, holder, queues, oldest, marks, paused }: SpoolInfo): string {
  const rfc3339 = createRfc3339();
  const head = facts([
    ['file', path],
    ['size', `${(bytes / 1024 ** 2).toFixed(1)} MiB`],
    ['schema', isOld ? `${version}, of an older version: the service upgrades it when it starts` : String(version)],
    ['used by', holder === null ? 'no process' : `process ${holder}`],
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
