import type { ClientAttachment } from './config.ts';
import { isLoopback } from './loopback.ts';
import type { Reading } from './reading.ts';
import type { ClientSection } from './schema/client.ts';
import { readTls } from './tls.ts';

/** An account as an attachment. Its host is its own domain unless it names others. */
export async function clientOf(name: string, read: ClientSection, reading: Reading): Promise<ClientAttachment> {
  const { host, port } = read.service;
  return {
    type: read.type,
    name,
    service: { host, port },
    encryption: encryptionOf(read),
    tls: await readTls(read.tls, ['attach', name, 'tls'], reading),
    jid: read.jid,
    password: read.password,
    resource: read.resource,
    priority: read.priority,
    rooms: read.rooms,
    carbons: read.carbons,
    archive: read.archive,
    hosts: read.hosts ?? [read.jid.domain],
    maxStanzaBytes: read.max_stanza_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    pingIntervalMs: read.ping_interval,
    pingTimeoutMs: read.ping_timeout,
    connectTimeoutMs: read.connect_timeout,
    reconnectCapMs: read.reconnect_max,
  };
}

/** Only what does not leave the machine goes unencrypted unasked, and that only where nothing is said about TLS. */
function encryptionOf({ service, plaintext, tls }: ClientSection): ClientAttachment['encryption'] {
  if (service.direct) return 'direct';
  return plaintext || (tls === undefined && isLoopback(service.host)) ? 'plain' : 'starttls';
}
