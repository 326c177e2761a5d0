import { resolve } from 'node:path';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadSpool } from '../config/load.ts';
import { ServiceError } from '../kit/errors.ts';
import { backUp, checkFile, type Fault, readInfo } from '../spool/inspect.ts';
import type { Call, Command } from './command.ts';
import { counted, printable, tell } from './layout.ts';
import { infoAsJson, infoText } from './spool-text.ts';

/** The commands about the spool's file. They read it alone, whether a service runs on it or not. */
export const spoolCommands: readonly Command[] = [
  {
    name: 'spool info',
    synopsis: '[--config FILE] [--json]',
    does: "shows what the spool's file holds, and who holds it",
    options: ['config', 'json'],
    run: info,
  },
  {
    name: 'spool backup',
    synopsis: 'TARGET [--config FILE]',
    does: 'copies the spool into a new file, while the service runs or not',
    operands: { least: 1, most: 1 },
    options: ['config'],
    run: backup,
  },
  {
    name: 'spool check',
    synopsis: '[--config FILE] [--json]',
    does: "goes through the spool's file and lists what is wrong with it",
    options: ['config', 'json'],
    run: check,
  },
];

async function info(call: Call): Promise<number> {
  const path = await pathOf(call);
  const found = path === undefined ? undefined : readInfo(path);
  if (found === undefined) tell(call.values.json, { path: path ?? null, exists: false }, `${absence(path)}\n`);
  else tell(call.values.json, infoAsJson(found), infoText(found));
  return 0;
}

async function backup(call: Call): Promise<number> {
  const path = await pathOf(call);
  const target = resolve(call.operands[0] ?? '');
  const bytes = path === undefined ? undefined : backUp(path, target);
  if (bytes === undefined) throw new ServiceError('SPOOL_BACKUP_FAILED', `${absence(path)}: there is nothing to back up`);
  tell(false, undefined, `${target}: ${counted(bytes, 'byte')}\n`);
  return 0;
}

async function check(call: Call): Promise<number> {
  const path = await pathOf(call);
  const faults = path === undefined ? undefined : checkFile(path);
  if (faults === undefined) {
    tell(call.values.json, { path: path ?? null, exists: false, faults: [] }, `${absence(path)}\n`);
    return 0;
  }
  tell(call.values.json, { path, exists: true, faults }, faults.length === 0 ? `${path}: nothing is wrong.\n` : faultText(faults));
  return faults.length === 0 ? 0 : 1;
}

/** Undefined: the spool is in memory. */
async function pathOf({ values }: Call): Promise<string | undefined> {
  const env = readEnvironment();
  const { engine, path } = await loadSpool(locateConfig(values.config, env), env);
  return engine === 'memory' ? undefined : path;
}

function absence(path: string | undefined): string {
  return path === undefined
    ? 'spool.engine is "memory": there is no file'
    : `there is no spool at ${path} yet: the service makes it when it first starts`;
}

function faultText(faults: readonly Fault[]): string {
  return faults.map(({ what, remedy }) => `- ${printable(what)}\n  ${remedy}\n`).join('');
}
