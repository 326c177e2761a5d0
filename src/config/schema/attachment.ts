import { z } from 'zod';
import { rateLimit } from './rate-limit.ts';
import { domain, domains, listen, listOf, oneOf, secret, section, size, wait, whole } from './values.ts';

const service = 'xmpp://host[:port] of the server’s component listener';

/** `xmpp://host[:port]`; the port of components is 5347 where none is given (XEP-0114 leaves it open; servers agree). */
const componentService = z.string({ error: service }).transform((value, context) => {
  const [, bracketed, plain, port = '5347'] = /^xmpp:\/\/(?:\[([\da-f:.]+)\]|([^\s/:@[\]]+))(?::(\d{1,5}))?\/?$/i.exec(value) ?? [];
  const host = bracketed ?? plain;
  const name = `xmpp://${bracketed === undefined ? host : `[${host}]`}:${port}`;
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { name, host, port: Number(port) };
  context.addIssue({ code: 'custom', message: service });
  return z.NEVER;
});

export const hosts = domains.min(1, { error: 'a list of domain names, with at least one' }).optional();

/** What says which of the schemas below an attachment follows. */
export const attachmentSchema = z.looseObject({ type: oneOf(['client', 'component', 'http']) }, { error: 'a table' });

/** `[attach.NAME]` with `type = "component"`. */
export const componentSchema = section({
  type: oneOf(['component']),
  service: listOf(componentService, service),
  domain,
  secret,
  feed: oneOf(['tap', 'service_log', 'direct']).default('tap'),
  hosts,
  max_stanza_bytes: size.default(1024 * 1024),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  ping_interval: wait.default(30_000),
  ping_timeout: wait.default(10_000),
  connect_timeout: wait.default(10_000),
  reconnect_max: wait.default(60_000),
});

const path = 'a URL path that starts with "/", without a query';
const username = 'a user name without a colon';

/** `[attach.NAME]` with `type = "http"`. */
export const httpSchema = section({
  type: oneOf(['http']),
  listen,
  path: z
    .string({ error: path })
    .regex(/^\/[^?#\s]*$/, { error: path })
    .default('/'),
  username: z
    .string({ error: username })
    .regex(/^[^:]+$/, { error: username })
    .optional(),
  password: secret.optional(),
  hosts,
  max_body_bytes: size.pipe(whole(1)).default(64 * 1024),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  max_connections: whole(1).default(1000),
  rate_limit: rateLimit.optional(),
});

export type ComponentSection = z.output<typeof componentSchema>;
export type HttpSection = z.output<typeof httpSchema>;
