import type { ComponentAttachment } from './config.ts';
import type { Reading } from './reading.ts';
import { type ComponentSection, componentSchema } from './schema/attachment.ts';
import { isTable, type Path, showPath } from './table.ts';

/** Reads `[attach.*]`. `generalHosts` are the hosts of an attachment that names none; undefined when they have mistakes. */
export function readAttachments(
  value: unknown,
  generalHosts: readonly string[] | undefined,
  reading: Reading,
): readonly ComponentAttachment[] {
  if (value === undefined) return [];
  if (!isTable(value)) {
    reading.mistake(['attach'], { expected: 'tables: [attach.NAME]' });
    return [];
  }

  const attachments: ComponentAttachment[] = [];
  for (const [name, entry] of Object.entries(value)) {
    const path = ['attach', name];
    if (isOfLaterVersion(entry, path, reading)) continue;
    const read = reading.read(componentSchema, entry, path);
    if (read !== undefined) attachments.push(normalize(name, read, generalHosts ?? []));
    if (read !== undefined && read.hosts === undefined && generalHosts?.length === 0) {
      reading.mistake([...path, 'hosts'], { expected: 'a list of domain names here, or in general.hosts' });
    }
  }
  checkTogether(attachments, reading);
  return attachments;
}

function isOfLaterVersion(entry: unknown, path: Path, reading: Reading): boolean {
  const type = isTable(entry) ? entry['type'] : undefined;
  if (type !== 'client' && type !== 'http') return false;
  reading.mistake([...path, 'type'], { expected: 'component', hint: `"${type}" is not available in this version` });
  return true;
}

function normalize(name: string, read: ComponentSection, generalHosts: readonly string[]): ComponentAttachment {
  return {
    type: read.type,
    name,
    service: read.service,
    domain: read.domain,
    secret: read.secret,
    feed: read.feed,
    hosts: [...new Set(read.hosts ?? generalHosts)],
    maxStanzaBytes: read.max_stanza_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    pingIntervalMs: read.ping_interval,
    pingTimeoutMs: read.ping_timeout,
    connectTimeoutMs: read.connect_timeout,
    reconnectCapMs: read.reconnect_max,
  };
}

/** What no attachment can see alone: whose hosts and domains they are. */
function checkTogether(attachments: readonly ComponentAttachment[], reading: Reading): void {
  const owners = new Map<string, Path>();
  const everyHost = new Set(attachments.flatMap(({ hosts }) => hosts));

  for (const { name, domain, hosts } of attachments) {
    const path = ['attach', name];
    if (everyHost.has(domain)) {
      reading.mistake([...path, 'domain'], {
        expected: 'a domain of the component’s own, which is no host',
        hint: `for example "pusher.${domain}"`,
      });
    }
    for (const host of hosts) {
      const owner = owners.get(host);
      if (owner !== undefined) {
        const expected = `hosts of this attachment alone; "${host}" belongs to ${showPath(owner)}`;
        reading.mistake([...path, 'hosts'], { expected });
      }
      owners.set(host, path);
    }
  }
}
