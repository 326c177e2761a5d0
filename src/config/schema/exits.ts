import { z } from 'zod';
import { hosts } from './attachment.ts';
import { rateLimit } from './rate-limit.ts';
import { flag, listen, oneOf, secret, section, size, text, wait, whole } from './values.ts';

const name = 'a name of letters, digits, ".", "_" and "-"';
const path =
  'a URL path that starts with "/", without a query, everything outside ASCII percent-encoded; "/*" at its end stands for all below';
const origin = 'an origin, such as "https://app.example"';
const listeners = 'address:port, or a table of listeners by name, each with its address:port';

/** ASCII without `#`, `*` and `?`, but for the `/*` at the end. */
const pathPattern = /^\/(?:(?:[!-"$-)+->@-~]*\/)?\*|[!-"$-)+->@-~]*)$/;

const nameText = z.string({ error: name }).regex(/^[\w.-]+$/, { error: name });

/** Switches as openUTM's generation writes them, or as TOML does. */
const yesNo = z.union([flag, oneOf(['*YES', '*NO']).transform((value) => value === '*YES')], { error: 'true, false, "*YES" or "*NO"' });

const descriptor = section({
  name: nameText,
  path: z.string({ error: path }).regex(pathPattern, { error: path }).default('/*'),
  tac: nameText,
  http_exit: text.default('*SYSTEM'),
  convert_text: yesNo.default(false),
  user_auth: oneOf(['*NONE', '*BASIC']).default('*NONE'),
  bcamappl: z.union([z.literal('*ALL'), nameText], { error: '"*ALL" or the name of a listener' }).default('*ALL'),
});

/** `[attach.NAME]` with `type = "http"` and descriptors. */
export const exitsSchema = section({
  type: oneOf(['http']),
  listen: z.union([listen, z.record(nameText, listen, { error: listeners })], { error: listeners }),
  hosts,
  descriptors: z.array(descriptor, { error: 'tables: [[attach.NAME.descriptors]]' }).min(1, { error: 'at least one descriptor' }),
  tacs: z.record(nameText, text, { error: 'a table of program units by TAC' }).default({}),
  users: z.record(z.string().regex(/^[^:]+$/), secret, { error: 'a table of passwords by user name, which has no colon' }).default({}),
  users_file: text.optional(),
  origins: z
    .array(z.string({ error: origin }).regex(/^https?:\/\/[^\s/?#]+$/, { error: origin }), { error: `a list, each ${origin}` })
    .default([]),
  send_through: text.optional(),
  max_body_bytes: size.pipe(whole(1)).default(1024 * 1024),
  max_headers: whole(1, 1000).default(100),
  request_timeout: wait.default(5000),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  max_connections: whole(1).default(1000),
  rate_limit: rateLimit.optional(),
});

export type DescriptorSection = z.output<typeof descriptor>;
export type ExitsSection = z.output<typeof exitsSchema>;
