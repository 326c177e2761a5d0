import { z } from 'zod';
import { readClient } from './client.ts';
import type { ComponentAttachment } from './config.ts';
import { type ReadExits, readExits, settleSenders } from './exits.ts';
import { isTable, type Path, showPath } from './mistakes.ts';
import { type ReadPosts, readPosts } from './mongooseim-posts.ts';
import type { SectionReader } from './section-reader.ts';
import type { Attachment, ClientAttachment } from './service-config.ts';
import { attachmentHosts, connectionLimits, connectionLimitsOf, domain, listOf, oneOf, secret, section } from './values.ts';

/** Reads `[attach.*]`. `generalHosts` is the default of `hosts`; undefined if it has mistakes. */
export async function readAttachments(
  value: unknown,
  generalHosts: readonly string[] | undefined,
  reader: SectionReader,
): Promise<readonly Attachment[]> {
  if (value === undefined) return [];
  if (!isTable(value)) {
    reader.mistake(['attach'], { expected: 'tables: [attach.NAME]' });
    return [];
  }

  const attachments: Attachment[] = [];
  for (const [name, entry] of Object.entries(value)) {
    const attachment = await readOne(name, entry, reader);
    if (attachment === undefined) continue;
    attachments.push({ ...attachment, hosts: [...new Set(attachment.hosts ?? generalHosts ?? [])] });
    if (attachment.hosts === undefined && generalHosts?.length === 0) {
      reader.mistake(['attach', name, 'hosts'], { expected: 'a list of domain names here, or in general.hosts' });
    }
  }
  refuseSharedHosts(attachments, reader);
  return settleSenders(attachments, reader);
}

/** The key that selects the schema of an attachment. */
const attachmentSchema = z.looseObject({ type: oneOf(['client', 'component', 'http']) }, { error: 'a table' });

type ReadAttachment = ClientAttachment | ReadComponent | ReadExits | ReadPosts;

async function readOne(name: string, entry: unknown, reader: SectionReader): Promise<ReadAttachment | undefined> {
  const type = reader.read(attachmentSchema, entry, ['attach', name])?.type;
  switch (type) {
    case 'client':
      return readClient(name, entry, reader);
    case 'component':
      return readComponent(name, entry, reader);
    case 'http':
      return isTable(entry) && 'descriptors' in entry ? readExits(name, entry, reader) : readPosts(name, entry, reader);
    case undefined:
      return undefined;
    default:
      return type satisfies never;
  }
}

const service = 'xmpp://host[:port] of the server’s component listener';

/** The default port is 5347: XEP-0114 defines none, and servers agree on it. */
const componentService = z.string({ error: service }).transform((value, context) => {
  const [, bracketed, plain, port = '5347'] = /^xmpp:\/\/(?:\[([\da-f:.]+)\]|([^\s/:@[\]]+))(?::(\d{1,5}))?\/?$/i.exec(value) ?? [];
  const host = bracketed ?? plain;
  const name = `xmpp://${bracketed === undefined ? host : `[${host}]`}:${port}`;
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { name, host, port: Number(port) };
  context.addIssue({ code: 'custom', message: service });
  return z.NEVER;
});

/** `[attach.NAME]` with `type = "component"`. */
export const componentSchema = section({
  type: oneOf(['component']),
  service: listOf(componentService, service),
  domain,
  secret,
  feed: oneOf(['tap', 'service_log', 'direct']).default('tap'),
  hosts: attachmentHosts,
  ...connectionLimits,
});

/** The attachment before the hosts of `[general]` are filled in. */
type ReadComponent = Omit<ComponentAttachment, 'hosts'> & { readonly hosts: readonly string[] | undefined };

function readComponent(name: string, entry: unknown, reader: SectionReader): ReadComponent | undefined {
  const read = reader.read(componentSchema, entry, ['attach', name]);
  if (read === undefined) return undefined;
  checkNodes(['attach', name, 'service'], read, reader);
  return {
    type: read.type,
    name,
    nodes: read.service,
    domain: read.domain,
    secret: read.secret,
    feed: read.feed,
    hosts: read.hosts,
    ...connectionLimitsOf(read),
  };
}

/** Only the tap numbers its items per node, so only the tap supports several nodes. */
function checkNodes(path: Path, { service, feed }: z.output<typeof componentSchema>, reader: SectionReader): void {
  if (service.length > 1 && feed !== 'tap') reader.mistake(path, { expected: 'one address; several require feed = "tap"' });
  if (new Set(service.map(({ name }) => name)).size < service.length) reader.mistake(path, { expected: 'each address once' });
}

/** Each host belongs to one attachment, except that accounts may share a host; a component's domain is no host. */
function refuseSharedHosts(attachments: readonly Attachment[], reader: SectionReader): void {
  const owners = new Map<string, { readonly path: Path; readonly type: Attachment['type'] }>();
  const everyHost = new Set(attachments.flatMap(({ hosts }) => hosts));

  for (const attachment of attachments) {
    const path = ['attach', attachment.name];
    if (attachment.type === 'component' && everyHost.has(attachment.domain)) {
      reader.mistake([...path, 'domain'], {
        expected: 'a domain of the component’s own, which is not one of the hosts',
        hint: `for example "pusher.${attachment.domain}"`,
      });
    }
    if (attachment.type === 'exits') continue; // serves no host: its hosts only limit the senders
    for (const host of attachment.hosts) {
      const owner = owners.get(host);
      const bothAccounts = owner?.type === 'client' && attachment.type === 'client'; // each sees only its own traffic
      if (owner !== undefined && !bothAccounts) {
        const expected = `hosts of this attachment alone; "${host}" belongs to ${showPath(owner.path)}`;
        reader.mistake([...path, 'hosts'], { expected });
      }
      owners.set(host, { path, type: attachment.type });
    }
  }
}
