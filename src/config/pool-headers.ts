/** `headers` and `auth` of a pool: what it adds to every request, in place of a callback that would have to know the secrets. */
import { z } from 'zod';
import { Secret } from '../kit/secret.ts';
import { reservedHeaders, tokenPattern } from '../model/headers.ts';
import type { PoolConfig, PoolHeader } from './config.ts';
import { isTable, type Path } from './mistakes.ts';
import { encodedClientSecrets, oauthSchema } from './oauth.ts';
import type { SectionReader } from './section-reader.ts';
import { anyText, section } from './values.ts';

/** Backends refuse larger heads of requests: most accept between 8 and 64 KiB in total. */
const maxHeaders = 32;
const maxNameLength = 256;
const maxValueLength = 8192;
const maxCredentialLength = 1024;

/** Names that later versions may set. */
const reservedPrefix = /^(webhook|event-pusher)-/;

/** Printable ASCII. HTTP ignores spaces at both ends, so a value with them would not arrive as it is written. */
const headerValue = z
  .string()
  .max(maxValueLength)
  .regex(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
const valueExpected = `a string of 1 to ${maxValueLength} printable ASCII characters, without spaces at its ends`;

/** `headers` of a pool. Values of a table are read one by one, so that each mistake has its path. */
export const headersSchema = z.unknown().transform((given, context): readonly PoolHeader[] => {
  if (!isTable(given)) {
    context.addIssue({ code: 'custom', message: 'a table such as { x-api-key = "…" }' });
    return z.NEVER;
  }
  const entries = Object.entries(given);
  if (entries.length > maxHeaders) context.addIssue({ code: 'custom', message: `at most ${maxHeaders} headers` });
  const seen = new Set<string>();
  return entries.slice(0, maxHeaders).flatMap(([name, value]): readonly PoolHeader[] => {
    const text = headerValue.safeParse(value);
    const message = wrongName(name, seen) ?? (text.success ? undefined : valueExpected);
    if (message !== undefined) context.addIssue({ code: 'custom', message, path: [name] });
    seen.add(name.toLowerCase());
    return text.success ? [{ name, value: new Secret(text.data), from: 'headers' }] : [];
  });
});

function wrongName(name: string, seen: ReadonlySet<string>): string | undefined {
  if (name.length > maxNameLength || !tokenPattern.test(name)) {
    return `as its name a header name: at most ${maxNameLength} letters, digits, "-", "_" and other characters of an HTTP token`;
  }
  const lower = name.toLowerCase();
  if (reservedHeaders.has(lower) || reservedPrefix.test(lower)) return 'no such header: the service sets it itself';
  return seen.has(lower) ? 'each header once; names that differ only in case are the same' : undefined;
}

const bearerExpected = 'a token of printable ASCII characters without spaces, and without the word Bearer';

const basic = section({ username: anyText, password: anyText }, 'a table { username = "…", password = "…" }');

const authExpected = 'a table with basic = { username = "…", password = "…" }, bearer = "…" or oauth2 = { … }';

/** `auth` of a pool: the `authorization` of its requests. */
export const authSchema = section(
  {
    basic: basic.optional(),
    bearer: z
      .string({ error: bearerExpected })
      .max(maxValueLength, { error: `${bearerExpected}, at most ${maxValueLength} of them` })
      .regex(/^[\x21-\x7e]+$/, { error: bearerExpected })
      .optional(),
    oauth2: oauthSchema.optional(),
  },
  authExpected,
).refine((auth) => Object.values(auth).filter((way) => way !== undefined).length === 1, { error: authExpected });

interface HeaderSettings {
  readonly headers: readonly PoolHeader[];
  readonly auth?: z.output<typeof authSchema> | undefined;
}

/** The headers of a pool, with the `authorization` that its `auth` stands for. */
export function poolHeadersOf({ headers, auth }: HeaderSettings, path: Path, reader: SectionReader): readonly PoolHeader[] {
  if (auth === undefined) return headers;
  if (auth.basic !== undefined) checkCredentials(auth.basic, [...path, 'auth', 'basic'], reader);
  for (const { name } of headers.filter((header) => header.name.toLowerCase() === 'authorization')) {
    reader.mistake([...path, 'headers', name], { expected: 'no such header: auth of the pool sets it' });
  }
  return auth.oauth2 === undefined ? [...headers, authorizationOf(auth)] : headers;
}

/** A colon ends the user name, and control characters are not allowed (RFC 7617 §2). The mistakes quote neither. */
function checkCredentials({ username, password }: z.output<typeof basic>, path: Path, reader: SectionReader): void {
  const expected = `at most ${maxCredentialLength} characters, without control characters`;
  if (username.length > maxCredentialLength || /[:\p{Cc}]/u.test(username)) {
    reader.mistake([...path, 'username'], { received: 'a string', expected: `${expected} and without a colon` });
  }
  if (password.length > maxCredentialLength || /\p{Cc}/u.test(password)) {
    reader.mistake([...path, 'password'], { received: 'a string', expected });
  }
}

function authorizationOf({ basic, bearer = '' }: z.output<typeof authSchema>): PoolHeader {
  const name = 'authorization';
  if (basic === undefined) return { name, value: new Secret(`Bearer ${bearer}`), from: 'auth.bearer' };
  return { name, value: new Secret(`Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`), from: 'auth.basic' };
}

/** Secrets that the file does not contain literally: backends may quote the encoded credentials in their answers. */
export function encodedCredentialsIn({ headers, oauth }: Pick<PoolConfig, 'headers' | 'oauth'>): readonly Secret[] {
  const basic = headers.flatMap(({ value, from }) => (from === 'auth.basic' ? [new Secret(value.reveal().slice('Basic '.length))] : []));
  return oauth === undefined ? basic : [...basic, oauth.clientSecret, ...encodedClientSecrets(oauth)];
}
