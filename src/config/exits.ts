import { resolve } from 'node:path';
import { z } from 'zod';
import { toError } from '../kit/errors.ts';
import { Secret } from '../kit/secret.ts';
import { findModule, searchedPlaces } from './find-module.ts';
import { listenerTls, readListenerTls } from './listener-tls.ts';
import { type Path, showPath } from './mistakes.ts';
import { type SectionReader, unknownAmong } from './section-reader.ts';
import type { Attachment, BuiltinUnit, Credential, Descriptor, ExitsAttachment, Listener, UserModule } from './service-config.ts';
import {
  attachmentHosts,
  flag,
  isLoopback,
  listen,
  oneOf,
  rateLimit,
  rateLimitOf,
  secret,
  section,
  size,
  text,
  wait,
  whole,
} from './values.ts';

/** The attachment before the hosts of `[general]` are filled in. */
export type ReadExits = Omit<ExitsAttachment, 'hosts'> & { readonly hosts: readonly string[] | undefined };

/** Reads `[attach.NAME]` with `type = "http"` and `[[attach.NAME.descriptors]]`. */
export async function readExits(name: string, entry: unknown, reader: SectionReader): Promise<ReadExits | undefined> {
  const path = ['attach', name];
  const read = reader.read(exitsSchema, entry, path);
  if (read === undefined) return undefined;

  const listeners = listenersOf(name, read.listen);
  const units = await readTacs(read.tacs, [...path, 'tacs'], reader);
  const descriptors: Descriptor[] = [];
  for (const [index, section] of read.descriptors.entries()) {
    const at = [...path, 'descriptors', index];
    const descriptor = await descriptorOf(section, { at, listeners, units }, reader);
    if (descriptor !== undefined) descriptors.push(descriptor);
  }
  refuseClashes(read.descriptors, path, reader);
  const users = await readUsers(read, path, reader);
  if (users.length === 0 && read.descriptors.some(({ user_auth: auth }) => auth === '*BASIC')) {
    reader.mistake([...path, 'users'], { expected: 'at least one user, since a descriptor has user_auth = "*BASIC"' });
  }

  return {
    type: 'exits',
    name,
    listeners,
    descriptors,
    users,
    origins: read.origins,
    tls: await readListenerTls(read.tls, [...path, 'tls'], reader),
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

/** A single listener has the attachment's name. */
function listenersOf(name: string, listen: ExitsSection['listen']): readonly Listener[] {
  const entries = isAddress(listen) ? [[name, listen] as const] : Object.entries(listen);
  return entries.map(([own, { host, port }]) => ({ name: own, host, port }));
}

function isAddress(listen: ExitsSection['listen']): listen is Pick<Listener, 'host' | 'port'> {
  return typeof listen['host'] === 'string';
}

type Units = ReadonlyMap<string, BuiltinUnit | UserModule | undefined>;

const builtinUnits = ['PUSH', 'SENDMSG', 'STATUS'] as const;

/** The built-in units by their own names, and the units of `tacs`; undefined for a module that was not found, which has been reported. */
async function readTacs(tacs: Readonly<Record<string, string>>, path: Path, reader: SectionReader): Promise<Units> {
  const units = new Map<string, BuiltinUnit | UserModule | undefined>(builtinUnits.map((name) => [name, { kind: 'builtin', name }]));
  for (const [tac, named] of Object.entries(tacs)) {
    const builtin = builtinUnits.find((name) => name === named);
    const expected = `a program unit: ${builtinUnits.join(', ')}, or a module`;
    const unit = builtin === undefined ? await readModule(named, { path: [...path, tac], expected }, reader) : undefined;
    units.set(tac, builtin === undefined ? unit : { kind: 'builtin', name: builtin });
  }
  return units;
}

interface DescriptorContext {
  /** The descriptor's position in the file. */
  readonly at: Path;
  readonly listeners: readonly Listener[];
  readonly units: Units;
}

async function descriptorOf(
  section: DescriptorSection,
  context: DescriptorContext,
  reader: SectionReader,
): Promise<Descriptor | undefined> {
  const { at, listeners, units } = context;
  const exit = await exitOf(section.http_exit, [...at, 'http_exit'], reader);
  const unit = units.get(section.tac);
  if (!units.has(section.tac)) reader.mistake([...at, 'tac'], unknownAmong(section.tac, [...units.keys()]));

  const listener = section.bcamappl === '*ALL' ? undefined : section.bcamappl;
  if (listener !== undefined && !listeners.some(({ name }) => name === listener)) {
    reader.mistake([...at, 'bcamappl'], unknownAmong(listener, ['*ALL', ...listeners.map(({ name }) => name)]));
  }
  const open = listeners.find(({ name, host }) => (listener === undefined || name === listener) && !isLoopback(host));
  if (open !== undefined && section.user_auth === '*NONE' && exit?.kind !== 'module') {
    const expected = `"*BASIC", or a module as http_exit that authenticates requests, since listen (${open.host}) is reachable from other machines`;
    reader.mistake([...at, 'user_auth'], { expected });
  }
  if (exit === undefined || unit === undefined) return undefined;
  const { name, path, tac, convert_text: convertText } = section;
  return { name, path, listener, tac, unit, exit, convertText, userAuth: section.user_auth === '*BASIC' ? 'basic' : 'none' };
}

async function exitOf(written: string, path: Path, reader: SectionReader): Promise<Descriptor['exit'] | undefined> {
  if (written === '*NONE') return { kind: 'none' };
  if (written === '*SYSTEM') return { kind: 'system' };
  return readModule(written, { path, expected: 'an exit: *NONE, *SYSTEM, or a module' }, reader);
}

interface ModuleReference {
  readonly path: Path;
  /** The permitted values, for the mistake. */
  readonly expected: string;
}

/** Modules of exits and units are searched in the same places as callback modules. */
async function readModule(name: string, { path, expected }: ModuleReference, reader: SectionReader): Promise<UserModule | undefined> {
  const found = await findModule(name, reader.folder);
  if (found.kind === 'found' && found.module.kind === 'url') return { kind: 'module', name, url: found.module.url };
  const searched = found.kind === 'missing' ? `. ${searchedPlaces(found)}` : '';
  reader.mistake(path, { expected: `${expected}${searched}` });
  return undefined;
}

/** Names of descriptors are unique, and so are the paths of each listener. */
function refuseClashes(descriptors: readonly DescriptorSection[], path: Path, reader: SectionReader): void {
  for (const [index, later] of descriptors.entries()) {
    const at = [...path, 'descriptors', index];
    for (const [before, earlier] of descriptors.slice(0, index).entries()) {
      const other = `${earlier.name} (${showPath([...path, 'descriptors', before])})`;
      if (earlier.name === later.name) reader.mistake([...at, 'name'], { expected: `another name than that of ${other}` });
      if (earlier.path === later.path && overlap(earlier.bcamappl, later.bcamappl)) {
        reader.mistake([...at, 'path'], { expected: `another path or listener for ${later.name} than that of ${other}` });
      }
    }
  }
}

function overlap(one: string, other: string): boolean {
  return one === other || one === '*ALL' || other === '*ALL';
}

interface UserLine {
  readonly user: string;
  readonly password: string;
  readonly at: Path;
}

async function readUsers({ users, users_file: file }: ExitsSection, path: Path, reader: SectionReader): Promise<readonly Credential[]> {
  const entries: UserLine[] = Object.entries(users).map(([user, password]) => ({
    user,
    password: password.reveal(),
    at: [...path, 'users', user],
  }));
  if (file !== undefined) entries.push(...(await readUsersFile(file, [...path, 'users_file'], reader)));

  const credentials = new Map<string, Credential>();
  for (const { user, password, at } of entries) {
    const credential = readCredential(user, password);
    const expected = 'a password, or its hash as $scrypt$ln=15,r=8,p=1$SALT$KEY, which may take at most 128 MiB';
    if (credential === undefined) reader.mistake(at, { received: `for ${user} an invalid hash`, expected });
    else if (credentials.has(user)) reader.mistake(at, { received: `the user ${user} twice`, expected: 'each user once' });
    else credentials.set(user, credential);
  }
  return [...credentials.values()];
}

/** One user per line, `NAME:PASSWORD`; empty lines and lines that begin with `#` are ignored. */
async function readUsersFile(file: string, at: Path, reader: SectionReader): Promise<UserLine[]> {
  try {
    const lines = (await reader.files.read(resolve(reader.folder, file)))
      .split(/\r?\n/)
      .filter((line) => line !== '' && !line.startsWith('#'));
    const users = lines.map((line) => /^([^:]+):(.+)$/.exec(line));
    if (users.includes(null)) reader.mistake(at, { expected: 'a file with lines NAME:PASSWORD' });
    return users.flatMap((found) => (found === null ? [] : [{ user: found[1] ?? '', password: found[2] ?? '', at }]));
  } catch (thrown) {
    reader.mistake(at, { expected: `a readable file (${toError(thrown).message})` });
    return [];
  }
}

/** Sets the sending attachment of each attachment with SENDMSG: the named one, or the only one that can send. */
export function settleSenders(attachments: readonly Attachment[], reader: SectionReader): readonly Attachment[] {
  const senders = attachments.filter(({ type }) => type !== 'exits' && type !== 'http').map(({ name }) => name);
  return attachments.map((attachment) => (attachment.type === 'exits' ? settleSender(attachment, senders, reader) : attachment));
}

function settleSender(attachment: ExitsAttachment, senders: readonly string[], reader: SectionReader): ExitsAttachment {
  const path = ['attach', attachment.name, 'send_through'];
  const named = attachment.sendThrough;
  if (named !== undefined && !senders.includes(named)) reader.mistake(path, unknownAmong(named, senders));
  if (named !== undefined || !attachment.descriptors.some(({ unit }) => unit.kind === 'builtin' && unit.name === 'SENDMSG'))
    return attachment;

  const [only, another] = senders;
  if (only === undefined) reader.mistake(path, { expected: 'an attachment of type component, through which SENDMSG can send' });
  else if (another !== undefined)
    reader.mistake(path, { expected: `the attachment through which SENDMSG sends: one of ${senders.join(', ')}` });
  return { ...attachment, sendThrough: only };
}

const nameExpected = 'a name of letters, digits, ".", "_" and "-"';
const pathExpected =
  'a URL path that starts with "/", without a query, everything outside ASCII percent-encoded; a final "/*" matches every path below';
const originExpected = 'an origin, such as "https://app.example"';
const listenersExpected = 'address:port, or a table of listeners by name, each with its address:port';

/** ASCII without `#`, `*` and `?`, except for a final `/*`. */
const pathPattern = /^\/(?:(?:[!-"$-)+->@-~]*\/)?\*|[!-"$-)+->@-~]*)$/;

const nameText = z.string({ error: nameExpected }).regex(/^[\w.-]+$/, { error: nameExpected });

/** A switch in openUTM's notation or in TOML's. */
const yesNo = z.union([flag, oneOf(['*YES', '*NO']).transform((value) => value === '*YES')], { error: 'true, false, "*YES" or "*NO"' });

const descriptor = section({
  name: nameText,
  path: z.string({ error: pathExpected }).regex(pathPattern, { error: pathExpected }).default('/*'),
  tac: nameText,
  http_exit: text.default('*SYSTEM'),
  convert_text: yesNo.default(false),
  user_auth: oneOf(['*NONE', '*BASIC']).default('*NONE'),
  bcamappl: z.union([z.literal('*ALL'), nameText], { error: '"*ALL" or the name of a listener' }).default('*ALL'),
});

/** `[attach.NAME]` with `type = "http"` and descriptors. */
export const exitsSchema = section({
  type: oneOf(['http']),
  listen: z.union([listen, z.record(nameText, listen, { error: listenersExpected })], { error: listenersExpected }),
  hosts: attachmentHosts,
  descriptors: z.array(descriptor, { error: 'tables: [[attach.NAME.descriptors]]' }).min(1, { error: 'at least one descriptor' }),
  tacs: z.record(nameText, text, { error: 'a table of program units by TAC' }).default({}),
  users: z
    .record(z.string().regex(/^[^:]+$/), secret, { error: 'a table of passwords by user name; a user name has no colon' })
    .default({}),
  users_file: text.optional(),
  tls: listenerTls.optional(),
  origins: z
    .array(z.string({ error: originExpected }).regex(/^https?:\/\/[^\s/?#]+$/, { error: originExpected }), {
      error: `a list, each ${originExpected}`,
    })
    .default([]),
  send_through: text.optional(),
  max_body_bytes: size.pipe(whole(1)).default(1024 * 1024),
  max_headers: whole(1, 1000).default(100),
  request_timeout: wait.default(5000),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  max_connections: whole(1).default(1000),
  rate_limit: rateLimit.optional(),
});

type DescriptorSection = z.output<typeof descriptor>;
type ExitsSection = z.output<typeof exitsSchema>;

/** Maximum memory of one password check (128 × N × r). */
const maxMemoryBytes = 128 * 1024 * 1024;

/**
 * Reads a configured password: a hash `$scrypt$ln=15,r=8,p=1$SALT$KEY` (salt and key in base64 without padding), or any other
 * text as the password itself. Undefined: an invalid hash, or one that takes too much memory or time.
 */
export function readCredential(user: string, written: string): Credential | undefined {
  if (!written.startsWith('$scrypt$')) return { kind: 'plain', user, password: new Secret(written) };

  const [, ln = '', r = '', p = '', salt = '', key = ''] =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,2})\$([\w+/-]+)\$([\w+/-]{22,})$/.exec(written) ?? [];
  const [log2Cost, blockSize, parallelization] = [Number(ln), Number(r), Number(p)];
  const costsTooMuch = 128 * 2 ** log2Cost * blockSize > maxMemoryBytes || parallelization > 16;
  if (key === '' || log2Cost < 1 || blockSize < 1 || parallelization < 1 || costsTooMuch) return undefined;
  const hash = { log2Cost, blockSize, parallelization, salt, key: new Secret(key) };
  return { kind: 'scrypt', user, hash };
}
