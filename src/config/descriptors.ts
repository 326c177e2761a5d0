import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { toError } from '../kit/errors.ts';
import type { Attachment } from './config.ts';
import { type Credential, readCredential } from './credential.ts';
import type { BuiltinUnit, Descriptor, ExitsAttachment, Listener, UserModule } from './exits.ts';
import { findModule, placesLookedAt } from './find-module.ts';
import { isLoopback } from './loopback.ts';
import { type Reading, unknownAmong } from './reading.ts';
import { type DescriptorSection, type ExitsSection, exitsSchema } from './schema/exits.ts';
import { rateLimitOf } from './schema/rate-limit.ts';
import { type Path, showPath } from './table.ts';

const builtinUnits = ['PUSH', 'SENDMSG', 'STATUS'] as const;

type ReadExits = Omit<ExitsAttachment, 'hosts'> & { readonly hosts: readonly string[] | undefined };

/** Reads `[attach.NAME]` with `type = "http"` and `[[attach.NAME.descriptors]]`. */
export async function readExits(name: string, entry: unknown, reading: Reading): Promise<ReadExits | undefined> {
  const path = ['attach', name];
  const read = reading.read(exitsSchema, entry, path);
  if (read === undefined) return undefined;

  const listeners = listenersOf(name, read.listen);
  const units = await readTacs(read.tacs, [...path, 'tacs'], reading);
  const descriptors: Descriptor[] = [];
  for (const [index, section] of read.descriptors.entries()) {
    const at = [...path, 'descriptors', index];
    const descriptor = await descriptorOf(section, { at, listeners, units }, reading);
    if (descriptor !== undefined) descriptors.push(descriptor);
  }
  refuseClashes(read.descriptors, path, reading);
  const users = await readUsers(read, path, reading);
  checkUsers(users, { read, path }, reading);

  return {
    type: 'exits',
    name,
    listeners,
    descriptors,
    users,
    origins: read.origins,
    hosts: read.hosts,
    sendThrough: read.send_through,
    maxBodyBytes: read.max_body_bytes,
    maxHeaders: read.max_headers,
    requestTimeoutMs: read.request_timeout,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    maxConnections: read.max_connections,
    rateLimit: read.rate_limit && rateLimitOf(read.rate_limit),
  };
}

/** A listener that is alone has the attachment's name. */
function listenersOf(name: string, listen: ExitsSection['listen']): readonly Listener[] {
  const entries = isAddress(listen) ? [[name, listen] as const] : Object.entries(listen);
  return entries.map(([own, { host, port }]) => ({ name: own, host, port }));
}

function isAddress(listen: ExitsSection['listen']): listen is Pick<Listener, 'host' | 'port'> {
  return typeof listen['host'] === 'string';
}

type Units = ReadonlyMap<string, BuiltinUnit | UserModule | undefined>;

/** The built-in units by their own names, and what `tacs` binds; undefined stands for a mistake that has been told. */
async function readTacs(tacs: Readonly<Record<string, string>>, path: Path, reading: Reading): Promise<Units> {
  const units = new Map<string, BuiltinUnit | UserModule | undefined>(builtinUnits.map((name) => [name, { kind: 'builtin', name }]));
  for (const [tac, named] of Object.entries(tacs)) {
    const builtin = builtinUnits.find((name) => name === named);
    const what = `a program unit: ${builtinUnits.join(', ')}, or a module`;
    units.set(
      tac,
      builtin === undefined ? await readModule(named, { path: [...path, tac], what }, reading) : { kind: 'builtin', name: builtin },
    );
  }
  return units;
}

interface Around {
  readonly at: Path;
  readonly listeners: readonly Listener[];
  readonly units: Units;
}

async function descriptorOf(section: DescriptorSection, around: Around, reading: Reading): Promise<Descriptor | undefined> {
  const { at, listeners, units } = around;
  const exit = await exitOf(section.http_exit, [...at, 'http_exit'], reading);
  const unit = units.get(section.tac);
  if (!units.has(section.tac)) reading.mistake([...at, 'tac'], unknownAmong(section.tac, [...units.keys()]));

  const listener = section.bcamappl === '*ALL' ? undefined : section.bcamappl;
  if (listener !== undefined && !listeners.some(({ name }) => name === listener)) {
    reading.mistake([...at, 'bcamappl'], unknownAmong(listener, ['*ALL', ...listeners.map(({ name }) => name)]));
  }
  const open = listeners.find(({ name, host }) => (listener === undefined || name === listener) && !isLoopback(host));
  if (open !== undefined && section.user_auth === '*NONE' && exit?.kind !== 'module') {
    const expected = `"*BASIC", or an exit of your own that looks who asks, since listen (${open.host}) is reachable from other machines`;
    reading.mistake([...at, 'user_auth'], { expected });
  }
  if (exit === undefined || unit === undefined) return undefined;
  const { name, path, tac, convert_text: convertText } = section;
  return { name, path, listener, tac, unit, exit, convertText, userAuth: section.user_auth === '*BASIC' ? 'basic' : 'none' };
}

async function exitOf(written: string, path: Path, reading: Reading): Promise<Descriptor['exit'] | undefined> {
  if (written === '*NONE') return { kind: 'none' };
  if (written === '*SYSTEM') return { kind: 'system' };
  return readModule(written, { path, what: 'an exit: *NONE, *SYSTEM, or a module' }, reading);
}

interface ClaimRequest {
  readonly path: Path;
  readonly what: string;
}

/** Exits and units lie where callback modules do. */
async function readModule(name: string, { path, what }: ClaimRequest, reading: Reading): Promise<UserModule | undefined> {
  const found = await findModule(name, reading.folder);
  if (found.kind === 'found' && found.module.kind === 'url') return { kind: 'module', name, url: found.module.url };
  const lookedAt = found.kind === 'missing' ? `. ${placesLookedAt(found)}` : '';
  reading.mistake(path, { expected: `${what}${lookedAt}` });
  return undefined;
}

/** Two descriptors must not have one name, nor one path on one listener. */
function refuseClashes(descriptors: readonly DescriptorSection[], path: Path, reading: Reading): void {
  for (const [index, later] of descriptors.entries()) {
    const at = [...path, 'descriptors', index];
    for (const [before, earlier] of descriptors.slice(0, index).entries()) {
      const other = `${earlier.name} (${showPath([...path, 'descriptors', before])})`;
      if (earlier.name === later.name) reading.mistake([...at, 'name'], { expected: `another name than that of ${other}` });
      if (earlier.path === later.path && share(earlier.bcamappl, later.bcamappl)) {
        reading.mistake([...at, 'path'], { expected: `another path or listener for ${later.name} than that of ${other}` });
      }
    }
  }
}

function share(one: string, other: string): boolean {
  return one === other || one === '*ALL' || other === '*ALL';
}

interface UserLine {
  readonly user: string;
  readonly password: string;
  readonly at: Path;
}

async function readUsers({ users, users_file: file }: ExitsSection, path: Path, reading: Reading): Promise<readonly Credential[]> {
  const entries: UserLine[] = Object.entries(users).map(([user, password]) => ({
    user,
    password: password.reveal(),
    at: [...path, 'users', user],
  }));
  if (file !== undefined) entries.push(...(await readUsersFile(file, [...path, 'users_file'], reading)));

  const credentials = new Map<string, Credential>();
  for (const { user, password, at } of entries) {
    const credential = readCredential(user, password);
    const expected = 'a password, or its hash as $scrypt$ln=15,r=8,p=1$SALT$KEY, which may take 128 MiB';
    if (credential === undefined) reading.mistake(at, { received: `of ${user} a hash that is none`, expected });
    else if (credentials.has(user)) reading.mistake(at, { received: `the user ${user} twice`, expected: 'each user once' });
    else credentials.set(user, credential);
  }
  return [...credentials.values()];
}

/** One user a line, `NAME:PASSWORD`; empty lines and those that begin with `#` are left out. */
async function readUsersFile(file: string, at: Path, reading: Reading): Promise<UserLine[]> {
  try {
    const lines = (await readFile(resolve(reading.folder, file), 'utf8'))
      .split(/\r?\n/)
      .filter((line) => line !== '' && !line.startsWith('#'));
    const users = lines.map((line) => /^([^:]+):(.+)$/.exec(line));
    if (users.includes(null)) reading.mistake(at, { expected: 'a file whose lines are NAME:PASSWORD' });
    return users.flatMap((found) => (found === null ? [] : [{ user: found[1] ?? '', password: found[2] ?? '', at }]));
  } catch (thrown) {
    reading.mistake(at, { expected: `a file that can be read (${toError(thrown).message})` });
    return [];
  }
}

function checkUsers(
  users: readonly Credential[],
  { read, path }: { readonly read: ExitsSection; readonly path: Path },
  reading: Reading,
): void {
  if (users.length > 0 || !read.descriptors.some(({ user_auth: auth }) => auth === '*BASIC')) return;
  reading.mistake([...path, 'users'], { expected: 'at least one user, since a descriptor has user_auth = "*BASIC"' });
}

/** Finds for each attachment with SENDMSG the one through which it sends: the one that is named, or the only one that can. */
export function settleSenders(attachments: readonly Attachment[], reading: Reading): readonly Attachment[] {
  const senders = attachments.filter(({ type }) => type !== 'exits' && type !== 'http').map(({ name }) => name);
  return attachments.map((attachment) => (attachment.type === 'exits' ? settleSender(attachment, senders, reading) : attachment));
}

function settleSender(attachment: ExitsAttachment, senders: readonly string[], reading: Reading): ExitsAttachment {
  const path = ['attach', attachment.name, 'send_through'];
  const named = attachment.sendThrough;
  if (named !== undefined && !senders.includes(named)) reading.mistake(path, unknownAmong(named, senders));
  if (named !== undefined || !attachment.descriptors.some(({ unit }) => unit.kind === 'builtin' && unit.name === 'SENDMSG'))
    return attachment;

  const [only, another] = senders;
  if (only === undefined) reading.mistake(path, { expected: 'an attachment of type component, through which SENDMSG can send' });
  else if (another !== undefined)
    reading.mistake(path, { expected: `the attachment through which SENDMSG sends: one of ${senders.join(', ')}` });
  return { ...attachment, sendThrough: only };
}
