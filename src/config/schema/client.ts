import { z } from 'zod';
import { tls } from './pool.ts';
import { domains, flag, oneOf, secret, section, size, text, wait } from './values.ts';

const service = 'xmpp://host[:port] of the server’s listener for clients, or xmpps://host[:port] for direct TLS';

/** STARTTLS (RFC 6120 §5) on port 5222, or direct TLS (XEP-0368) on 5223 where none is given. */
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

const room = 'a room and the name to have in it, room@domain/nick';

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
  hosts: domains.min(1, { error: 'a list of domain names, with at least one' }).optional(),
  max_stanza_bytes: size.default(1024 * 1024),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  ping_interval: wait.default(30_000),
  ping_timeout: wait.default(10_000),
  connect_timeout: wait.default(10_000),
  reconnect_max: wait.default(60_000),
});

export type ClientSection = z.output<typeof clientSchema>;
