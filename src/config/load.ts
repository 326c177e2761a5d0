import { dirname, resolve } from 'node:path';
import { ServiceError } from '../kit/errors.ts';
import type { Secret } from '../kit/secret.ts';
import { readAttachments } from './attachments.ts';
import type { SpoolConfig } from './config.ts';
import { proxySecretsIn, readEgress } from './egress.ts';
import type { Environment } from './environment.ts';
import { followUpPools } from './follow-up.ts';
import { readHandlers } from './handlers.ts';
import { interpolate } from './interpolate.ts';
import { asTable, ConfigInvalid, type Mistake, type Table } from './mistakes.ts';
import { readHostConfigs, withoutForeign } from './mongooseim.ts';
import { NamedFiles } from './named-files.ts';
import { noticesOf } from './notices.ts';
import { encodedCredentialsIn } from './pool-headers.ts';
import { readPools } from './pools.ts';
import { createMask } from './secrets.ts';
import { SectionReader } from './section-reader.ts';
import { generalSchema, readAdmin, readService, rootSchema } from './service.ts';
import type { Config, ListenConfig } from './service-config.ts';
import { readSpool } from './spool.ts';
import { readToml } from './toml.ts';

/**
 * Loads a configuration file: reads TOML, replaces references, checks every section, fills in the defaults. Throws
 * CONFIG_UNREADABLE, or CONFIG_INVALID as a {@link ConfigInvalid} with all mistakes of the file.
 */
export async function loadConfig(file: string, env: Environment): Promise<Config> {
  return configOf(await readOwn(file), env);
}

async function configOf(written: WrittenFile, env: Environment, former?: NamedFiles): Promise<Config> {
  const { path, own, notices } = written;
  const { reader, value, redacted, files } = await prepare(path, own, { env, former });

  reader.read(rootSchema, value, []);
  const general = reader.read(generalSchema, value['general'] ?? {}, ['general']);
  const attachments = await readAttachments(value['attach'], general?.hosts, reader);
  const hosts = [...new Set([...(general?.hosts ?? []), ...attachments.flatMap((attachment) => attachment.hosts)])];
  const hostConfigs = readHostConfigs(value['host_config'], reader.mistakes.length === 0 ? hosts : undefined, reader);
  const egress = readEgress(value['egress'], reader);
  const pools = await readPools(value['outgoing_pools'], { hosts, hostConfigs, egress }, reader);
  const handlers = await readHandlers(value['modules'], { hosts, hostConfigs, pools, written: own }, reader);
  const service = await readService(value, reader);

  if (reader.mistakes.length > 0 || general === undefined || service === undefined) throw refusal(path, reader, redacted);
  return {
    file: path,
    hosts,
    logLevel: general.loglevel,
    attachments,
    pools: [...pools.all, ...followUpPools(handlers, egress)],
    egress,
    handlers,
    ...service,
    notices: [...notices, ...reader.notices.map(createMask(redacted)), ...noticesOf({ attachments, handlers, hosts })],
    redacted: [...redacted, ...pools.all.flatMap(encodedCredentialsIn), ...[{ egress }, ...pools.all].flatMap(proxySecretsIn)],
    renewed: (latest) => configOf(written, latest, files),
    files: files.states,
  };
}

/** Loads only `[admin]`, for commands that call the service: secrets of other sections are not needed. */
export function loadAdmin(file: string, env: Environment): Promise<ListenConfig> {
  return loadSection(file, env, { name: 'admin', read: readAdmin });
}

/** Loads only `[spool]`, for commands that read its file. */
export function loadSpool(file: string, env: Environment): Promise<SpoolConfig> {
  return loadSection(file, env, { name: 'spool', read: readSpool });
}

interface Section<T> {
  readonly name: string;
  readonly read: (value: unknown, reader: SectionReader) => Promise<T | undefined> | T | undefined;
}

async function loadSection<T>(file: string, env: Environment, { name, read }: Section<T>): Promise<T> {
  const { path, own } = await readOwn(file);
  const { reader, value, redacted } = await prepare(path, { [name]: own[name] ?? {} }, { env });
  const section = await read(value[name], reader);

  if (reader.mistakes.length > 0 || section === undefined) throw refusal(path, reader, redacted);
  return section;
}

/** Throws CONFIG_INVALID for a configuration without an attachment: it can be checked, but not run. */
export function requireAttachment({ attachments, file }: Config): void {
  if (attachments.length > 0) return;
  const message = `${file} attaches to no chat server: add a table [attach.NAME] with type, service, domain and secret, with type = "http" and listen, or with type = "client" and an account`;
  throw new ServiceError('CONFIG_INVALID', message);
}

interface WrittenFile {
  /** Absolute. */
  readonly path: string;
  /** The sections of the event pusher, references as written. */
  readonly own: Table;
  readonly notices: readonly string[];
}

async function readOwn(file: string): Promise<WrittenFile> {
  const path = resolve(file);
  return { path, ...withoutForeign(await readToml(path)) };
}

interface Prepared {
  readonly reader: SectionReader;
  /** The file with references replaced. */
  readonly value: Table;
  readonly redacted: readonly Secret[];
  readonly files: NamedFiles;
}

interface PrepareOptions {
  readonly env: Environment;
  /** Of the same configuration, when it was loaded before. */
  readonly former?: NamedFiles | undefined;
}

async function prepare(path: string, written: Table, { env, former }: PrepareOptions): Promise<Prepared> {
  const folder = dirname(path);
  const files = new NamedFiles(former);
  const { value, mistakes, redacted } = await interpolate(written, { env, folder, files });
  return { reader: new SectionReader({ folder, files, written, mistakes: [...mistakes] }), value: asTable(value), redacted, files };
}

/** The error with all mistakes. Secrets are masked, also as part of another value. */
function refusal(path: string, { mistakes }: SectionReader, redacted: readonly Secret[]): ConfigInvalid {
  const mask = createMask(redacted);
  const masked = mistakes.map((mistake): Mistake => {
    const { hint } = mistake;
    const shown = { path: mistake.path, received: mask(mistake.received), expected: mask(mistake.expected) };
    return hint === undefined ? shown : { ...shown, hint: mask(hint) };
  });
  return new ConfigInvalid(path, masked);
}
