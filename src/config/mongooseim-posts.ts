import { z } from 'zod';
import { listenerTls, readListenerTls } from './listener-tls.ts';
import type { SectionReader } from './section-reader.ts';
import type { HttpAttachment } from './service-config.ts';
import { attachmentHosts, isLoopback, listen, oneOf, rateLimit, rateLimitOf, secret, section, size, whole } from './values.ts';

const path = 'a URL path that starts with "/", without a query';
const username = 'a user name without a colon';

/** `[attach.NAME]` with `type = "http"` and without descriptors. */
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
  tls: listenerTls.optional(),
  hosts: attachmentHosts,
  max_body_bytes: size.pipe(whole(1)).default(64 * 1024),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  max_connections: whole(1).default(1000),
  rate_limit: rateLimit.optional(),
});

type HttpSection = z.output<typeof httpSchema>;

/** The attachment before the hosts of `[general]` are filled in. */
export type ReadPosts = Omit<HttpAttachment, 'hosts'> & { readonly hosts: readonly string[] | undefined };

/** Reads a listener for the posts of MongooseIM's `mod_event_pusher_http`. */
export async function readPosts(name: string, entry: unknown, reader: SectionReader): Promise<ReadPosts | undefined> {
  const read = reader.read(httpSchema, entry, ['attach', name]);
  if (read === undefined) return undefined;
  return {
    type: read.type,
    name,
    listen: read.listen,
    path: read.path,
    credentials: credentialsOf(name, read, reader),
    hosts: read.hosts,
    tls: await readListenerTls(read.tls, ['attach', name, 'tls'], reader),
    maxBodyBytes: read.max_body_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    maxConnections: read.max_connections,
    rateLimit: read.rate_limit && rateLimitOf(read.rate_limit),
  };
}

/** A listener that other machines can reach needs both user name and password, because every client that can post can forge messages. */
function credentialsOf(name: string, { listen, username, password }: HttpSection, reader: SectionReader): HttpAttachment['credentials'] {
  if (username !== undefined && password !== undefined) return { username, password };

  const onlyOne = username !== undefined || password !== undefined ? 'since neither works without the other' : undefined;
  const reason = isLoopback(listen.host) ? onlyOne : `since listen (${listen.host}) is reachable from other machines`;
  if (reason !== undefined) {
    const missing = username === undefined ? 'username' : 'password';
    reader.mistake(['attach', name, missing], { expected: `username and password, ${reason}` });
  }
  return undefined;
}
