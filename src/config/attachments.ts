import { clientOf } from './client.ts';
import type { Attachment, ClientAttachment, ComponentAttachment, ExitsAttachment, HttpAttachment } from './config.ts';
import { readExits, settleSenders } from './descriptors.ts';
import { isLoopback } from './loopback.ts';
import type { Reading } from './reading.ts';
import { attachmentSchema, type ComponentSection, componentSchema, type HttpSection, httpSchema } from './schema/attachment.ts';
import { clientSchema } from './schema/client.ts';
import { rateLimitOf } from './schema/rate-limit.ts';
import { isTable, type Path, showPath } from './table.ts';

/** Reads `[attach.*]`. `generalHosts` are the hosts of an attachment that names none; undefined when they have mistakes. */
export async function readAttachments(
  value: unknown,
  generalHosts: readonly string[] | undefined,
  reading: Reading,
): Promise<readonly Attachment[]> {
  if (value === undefined) return [];
  if (!isTable(value)) {
    reading.mistake(['attach'], { expected: 'tables: [attach.NAME]' });
    return [];
  }

  const attachments: Attachment[] = [];
  for (const [name, entry] of Object.entries(value)) {
    const attachment = await readOne(name, entry, reading);
    if (attachment === undefined) continue;
    attachments.push({ ...attachment, hosts: [...new Set(attachment.hosts ?? generalHosts ?? [])] });
    if (attachment.hosts === undefined && generalHosts?.length === 0) {
      reading.mistake(['attach', name, 'hosts'], { expected: 'a list of domain names here, or in general.hosts' });
    }
  }
  checkTogether(attachments, reading);
  return settleSenders(attachments, reading);
}

/** An attachment that may yet have to be given the hosts of all. */
type Read<A extends Attachment> = Omit<A, 'hosts'> & { readonly hosts: readonly string[] | undefined };

async function readOne(
  name: string,
  entry: unknown,
  reading: Reading,
): Promise<ClientAttachment | Read<ComponentAttachment> | Read<ExitsAttachment> | Read<HttpAttachment> | undefined> {
  const path = ['attach', name];
  const type = reading.read(attachmentSchema, entry, path)?.type;
  switch (type) {
    case 'client': {
      const section = reading.read(clientSchema, entry, path);
      return section && clientOf(name, section, reading);
    }
    case 'component': {
      const section = reading.read(componentSchema, entry, path);
      return section && componentOf(name, section, reading);
    }
    case 'http': {
      if (isTable(entry) && 'descriptors' in entry) return await readExits(name, entry, reading);
      const section = reading.read(httpSchema, entry, path);
      return section && httpOf(name, section, reading);
    }
    case undefined:
      return undefined;
    default:
      return type satisfies never;
  }
}

function componentOf(name: string, read: ComponentSection, reading: Reading): Read<ComponentAttachment> {
  checkNodes(['attach', name, 'service'], read, reading);
  return {
    type: read.type,
    name,
    nodes: read.service,
    domain: read.domain,
    secret: read.secret,
    feed: read.feed,
    hosts: read.hosts,
    maxStanzaBytes: read.max_stanza_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    pingIntervalMs: read.ping_interval,
    pingTimeoutMs: read.ping_timeout,
    connectTimeoutMs: read.connect_timeout,
    reconnectCapMs: read.reconnect_max,
  };
}

/** Only a tap numbers what it sends, so that it can come in pieces; and each piece comes once. */
function checkNodes(path: Path, { service, feed }: ComponentSection, reading: Reading): void {
  if (service.length > 1 && feed !== 'tap') reading.mistake(path, { expected: `one address; several need feed = "tap"` });
  if (new Set(service.map(({ name }) => name)).size < service.length) reading.mistake(path, { expected: 'each address once' });
}

function httpOf(name: string, read: HttpSection, reading: Reading): Read<HttpAttachment> {
  return {
    type: read.type,
    name,
    listen: read.listen,
    path: read.path,
    credentials: credentialsOf(name, read, reading),
    hosts: read.hosts,
    maxBodyBytes: read.max_body_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    maxConnections: read.max_connections,
    rateLimit: read.rate_limit && rateLimitOf(read.rate_limit),
  };
}

/** A name and its password come together, and what other machines can reach needs both: whoever can post can forge messages. */
function credentialsOf(name: string, { listen, username, password }: HttpSection, reading: Reading): HttpAttachment['credentials'] {
  if (username !== undefined && password !== undefined) return { username, password };

  const wanted = username !== undefined || password !== undefined ? 'since they come together' : undefined;
  const reason = isLoopback(listen.host) ? wanted : `since listen (${listen.host}) is reachable from other machines`;
  if (reason !== undefined) {
    const missing = username === undefined ? 'username' : 'password';
    reading.mistake(['attach', name, missing], { expected: `username and password, ${reason}` });
  }
  return undefined;
}

/** What no attachment can see alone: whose hosts and domains they are. */
function checkTogether(attachments: readonly Attachment[], reading: Reading): void {
  const owners = new Map<string, { readonly path: Path; readonly type: Attachment['type'] }>();
  const everyHost = new Set(attachments.flatMap(({ hosts }) => hosts));

  for (const attachment of attachments) {
    const path = ['attach', attachment.name];
    if (attachment.type === 'component' && everyHost.has(attachment.domain)) {
      reading.mistake([...path, 'domain'], {
        expected: 'a domain of the component’s own, which is no host',
        hint: `for example "pusher.${attachment.domain}"`,
      });
    }
    if (attachment.type === 'exits') continue; // it serves no host: it only names senders there
    for (const host of attachment.hosts) {
      const owner = owners.get(host);
      const bothAccounts = owner?.type === 'client' && attachment.type === 'client'; // each sees what is its own
      if (owner !== undefined && !bothAccounts) {
        const expected = `hosts of this attachment alone; "${host}" belongs to ${showPath(owner.path)}`;
        reading.mistake([...path, 'hosts'], { expected });
      }
      owners.set(host, { path, type: attachment.type });
    }
  }
}
