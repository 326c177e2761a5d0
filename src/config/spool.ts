import { resolve } from 'node:path';
import { z } from 'zod';
import type { Secret } from '../kit/secret.ts';
import type { PostgresConfig, SpoolConfig } from './config.ts';
import type { SectionReader } from './section-reader.ts';
import { duration, isLoopback, oneOf, secret, section, size, text, whole } from './values.ts';

/** A name that needs no quotes in SQL. */
const schemaName = z.string({ error: 'a text' }).regex(/^[a-z_][a-z0-9_]{0,62}$/, {
  error: 'a name of lower-case letters, digits and underscores, at most 63, without a digit at its start',
});

/** `[spool]` */
export const spoolSchema = section({
  engine: oneOf(['sqlite', 'memory', 'postgres']).default('sqlite'),
  path: text.default('var/spool.sqlite'),
  url: secret.optional(),
  schema: schemaName.default('event_pusher'),
  max_bytes: size.default(10 * 1000 ** 3),
  min_free: size.default(64 * 1000 ** 2),
  dead_letter_max_age: duration.default(30 * 86_400_000),
  dead_letter_max: whole(1).optional(),
});

type SpoolTable = z.output<typeof spoolSchema>;

/** Reads `[spool]`. */
export function readSpool(value: unknown, reader: SectionReader): SpoolConfig | undefined {
  const spool = reader.read(spoolSchema, value, ['spool']);
  return (
    spool && {
      engine: spool.engine,
      postgres: readPostgres(spool, reader),
      path: resolve(reader.folder, spool.path),
      maxBytes: spool.max_bytes,
      minFreeBytes: spool.min_free,
      deadLetterMaxAgeMs: spool.dead_letter_max_age,
      deadLetterMax: spool.dead_letter_max,
    }
  );
}

/** The engine `postgres` needs `url`; no other engine has one. */
function readPostgres({ engine, url, schema }: SpoolTable, reader: SectionReader): PostgresConfig | undefined {
  const isUsed = engine === 'postgres';
  if (!isUsed && url !== undefined) reader.mistake(['spool', 'url'], { expected: 'no url, unless engine = "postgres"' });
  if (isUsed && (url === undefined || !isPostgresUrl(url.reveal())))
    reader.mistake(['spool', 'url'], {
      expected: 'postgres://USER:PASSWORD@HOST:PORT/DATABASE, since engine = "postgres"',
      hint: hintFor(url),
    });
  if (!isUsed || url === undefined) return undefined;
  if (isUnencrypted(url.reveal()))
    reader.notice(
      ['spool', 'url'],
      'has no sslmode, and the host is not this machine: events and the password cross the network unencrypted; add ?sslmode=verify-full',
    );
  return { url, schema };
}

/** Without `sslmode` the driver does not use TLS. */
function isUnencrypted(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, searchParams } = new URL(url);
  return !isLoopback(hostname.replace(/^\[|\]$/g, '')) && !searchParams.has('sslmode') && !searchParams.has('ssl');
}

/** After an unencoded `/` in a password, its rest would count as the name of the database, which messages show. */
function isPostgresUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, host, pathname } = new URL(url);
  return isPostgres.test(protocol) && host !== '' && !pathname.includes('@');
}

const isPostgres = /^postgres(ql)?:/;

function hintFor(url: Secret | undefined): string | undefined {
  if (url === undefined || !isPostgres.test(url.reveal())) return undefined;
  return 'in USER and PASSWORD, write / as %2F, # as %23, ? as %3F and @ as %40';
}
