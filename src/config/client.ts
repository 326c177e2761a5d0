import { z } from 'zod';
import type { SectionReader } from './section-reader.ts';
import type { ClientAttachment } from './service-config.ts';
import { readTls, tls } from './tls.ts';
import { attachmentHosts, connectionLimits, connectionLimitsOf, flag, isLoopback, oneOf, secret, section, text } from './values.ts';

const service = 'xmpp://host[:port] of the server’s listener for clients, or xmpps://host[:port] for direct TLS';

/** The default port is 5222 with STARTTLS (RFC 6120 §5), 5223 with direct TLS (XEP-0368). */
const clientService = z.string({ error: service }).transform((value, context) => {
  const [, scheme, bracketed, plain, port] = /^(xmpps?):\/\/(?:\[([\da-f:.]+)\]|([^\s/:@[\]]+))(?::(\d{1,5}))?\/?$/i.exec(value) ?? [];
  const host = bracketed ?? plain;
  const direct = scheme?.toLowerCase() === 'xmpps';
  const number = Number(port ?? (direct ? 5223 : 5222));
  if (host !== undefined && number >= 1 && number <= 65_535) return { host, port: number, direct };
  context.addIssue({ code: 'custom', message: service });
  return z.NEVER;
});

const account = 'the address of an account, user@domain';

const jid = z.string({ error: account }).transform((value, context) => {
  const [, user, domain] = /^([^\s@/]+)@([^\s@/:]+)$/.exec(value) ?? [];
  if (user !== undefined && domain !== undefined) return { user, domain: domain.normalize('NFC').toLowerCase() };
  context.addIssue({ code: 'custom', message: account });
  return z.NEVER;
});

const room = 'a room and the nickname to use in it, room@domain/nick';

const rooms = z.array(
  z.string({ error: room }).transform((value, context) => {
    const [, jid, nick] = /^([^\s@/]+@[^\s@/:]+)\/(.+)$/.exec(value) ?? [];
    if (jid !== undefined && nick !== undefined) return { jid, nick };
    context.addIssue({ code: 'custom', message: room });
    return z.NEVER;
  }),
  { error: 'a list of rooms, each room@domain/nick' },
);

const priority = 'a whole number from -128 to 127';

/** `[attach.NAME]` with `type = "client"`. */
export const clientSchema = section({
  type: oneOf(['client']),
  service: clientService,
  jid,
  password: secret,
  resource: text.default('event-pusher'),
  priority: z.int({ error: priority }).min(-128, { error: priority }).max(127, { error: priority }).default(0),
  rooms: rooms.default([]),
  carbons: flag.default(true),
  archive: flag.default(true),
  plaintext: flag.default(false),
  tls: tls.optional(),
  hosts: attachmentHosts,
  ...connectionLimits,
});

type ClientSection = z.output<typeof clientSchema>;

/** Reads an account. Its host is the domain of its JID unless `hosts` is set. */
export async function readClient(name: string, entry: unknown, reader: SectionReader): Promise<ClientAttachment | undefined> {
  const read = reader.read(clientSchema, entry, ['attach', name]);
  if (read === undefined) return undefined;
  const { host, port } = read.service;
  return {
    type: read.type,
    name,
    service: { host, port },
    encryption: encryptionOf(read),
    tls: await readTls(read.tls, ['attach', name, 'tls'], reader),
    jid: read.jid,
    password: read.password,
    resource: read.resource,
    priority: read.priority,
    rooms: read.rooms,
    carbons: read.carbons,
    archive: read.archive,
    hosts: read.hosts ?? [read.jid.domain],
    ...connectionLimitsOf(read),
  };
}

/** Without `plaintext = true`, only a loopback connection without a `tls` table is unencrypted. */
function encryptionOf({ service, plaintext, tls }: ClientSection): ClientAttachment['encryption'] {
  if (service.direct) return 'direct';
  return plaintext || (tls === undefined && isLoopback(service.host)) ? 'plain' : 'starttls';
}
