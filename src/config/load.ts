import { dirname, resolve } from 'node:path';
import type { Secret } from '../kit/secret.ts';
import { readAttachments } from './attachments.ts';
import type { Config, ListenConfig, SpoolConfig } from './config.ts';
import type { Environment } from './environment.ts';
import { setAsideForeign } from './foreign.ts';
import { readHandlers } from './handlers.ts';
import { readHostConfigs } from './host-config.ts';
import { interpolate } from './interpolate.ts';
import { createMask } from './mask.ts';
import { ConfigInvalid, type Mistake } from './mistakes.ts';
import { readPools } from './pools.ts';
import { readToml } from './read-toml.ts';
import { createReading, type Reading } from './reading.ts';
import { generalSchema, rootSchema } from './schema/service.ts';
import { readAdmin, readService, readSpool } from './service.ts';
import { asTable, type Table } from './table.ts';
import { untoldEvents } from './untold.ts';

/**
 * Loads a configuration file: TOML, references replaced, checked, every default filled in. Throws CONFIG_UNREADABLE, or
 * CONFIG_INVALID as a {@link ConfigInvalid} with all mistakes of the file.
 */
export async function loadConfig(file: string, env: Environment): Promise<Config> {
  const { path, own, notices } = await readOwn(file);
  const { reading, value, redacted } = await prepare(path, own, env);

  reading.read(rootSchema, value, []);
  const general = reading.read(generalSchema, value['general'] ?? {}, ['general']);
  const attachments = await readAttachments(value['attach'], general?.hosts, reading);
  const hosts = [...new Set([...(general?.hosts ?? []), ...attachments.flatMap((attachment) => attachment.hosts)])];
  const hostConfigs = readHostConfigs(value['host_config'], reading.mistakes.length === 0 ? hosts : undefined, reading);
  const pools = await readPools(value['outgoing_pools'], { hosts, hostConfigs }, reading);
  const handlers = await readHandlers(value['modules'], { hosts, hostConfigs, pools, written: own }, reading);
  const service = readService(value, reading);

  if (reading.mistakes.length > 0 || general === undefined || service === undefined) throw refusal(path, reading, redacted);
  return {
    file: path,
    hosts,
    logLevel: general.loglevel,
    attachments,
    pools: pools.all,
    handlers,
    ...service,
    notices: [...notices, ...reading.notices.map(createMask(redacted)), ...absences({ attachments, handlers, hosts })],
    redacted,
  };
}

/** Loads `[admin]` alone, for commands that only want to find the service: no other section's secrets are needed. */
export async function loadAdmin(file: string, env: Environment): Promise<ListenConfig> {
  const { path, own } = await readOwn(file);
  const { reading, value, redacted } = await prepare(path, { admin: own['admin'] ?? {} }, env);
  const admin = readAdmin(value['admin'], reading);

  if (reading.mistakes.length > 0 || admin === undefined) throw refusal(path, reading, redacted);
  return admin;
}

/** Loads `[spool]` alone, for commands that look at its file. */
export async function loadSpool(file: string, env: Environment): Promise<SpoolConfig> {
  const { path, own } = await readOwn(file);
  const { reading, value, redacted } = await prepare(path, { spool: own['spool'] ?? {} }, env);
  const spool = readSpool(value['spool'], reading);

  if (reading.mistakes.length > 0 || spool === undefined) throw refusal(path, reading, redacted);
  return spool;
}

interface OwnFile {
  /** Absolute. */
  readonly path: string;
  /** What is ours in it, references as written. */
  readonly own: Table;
  readonly notices: readonly string[];
}

async function readOwn(file: string): Promise<OwnFile> {
  const path = resolve(file);
  return { path, ...setAsideForeign(await readToml(path)) };
}

interface Prepared {
  readonly reading: Reading;
  /** References replaced. */
  readonly value: Table;
  readonly redacted: readonly Secret[];
}

async function prepare(path: string, written: Table, env: Environment): Promise<Prepared> {
  const folder = dirname(path);
  const { value, mistakes, redacted } = await interpolate(written, { env, folder });
  return { reading: createReading({ folder, written, mistakes }), value: asTable(value), redacted };
}

/** The error that tells all mistakes; what came from a file stays untold even where it stands inside another value. */
function refusal(path: string, { mistakes }: Reading, redacted: readonly Secret[]): ConfigInvalid {
  const mask = createMask(redacted);
  const masked = mistakes.map((mistake): Mistake => {
    const { hint } = mistake;
    const shown = { path: mistake.path, received: mask(mistake.received), expected: mask(mistake.expected) };
    return hint === undefined ? shown : { ...shown, hint: mask(hint) };
  });
  return new ConfigInvalid(path, masked);
}

/** What is allowed to be missing and yet makes a service that does nothing. */
function absences({ attachments, handlers, hosts }: Pick<Config, 'attachments' | 'handlers' | 'hosts'>): readonly string[] {
  const notices: string[] = [];
  if (attachments.length === 0) notices.push('no [attach.NAME] section: nothing to attach to, so `run` will refuse to start');
  if (hosts.length === 0) notices.push('general.hosts names no host: no packet is local, so no handler meets one');
  if (handlers.length === 0) notices.push('no handler under modules.mod_event_pusher has a packet to meet: nothing is pushed');
  return [...notices, ...untoldEvents({ attachments, handlers })];
}
