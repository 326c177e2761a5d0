/** `tls` of a listener: its certificate, and the authorities of client certificates. */
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { toError } from '../kit/errors.ts';
import { ListenerTls } from '../kit/listener-tls.ts';
import type { Path } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';
import type { Config } from './service-config.ts';
import { readPem } from './tls.ts';
import { section, text } from './values.ts';

/** The names are those of pools and of MongooseIM. */
export const listenerTls = section(
  { certfile: text, keyfile: text, password: text.optional(), cacertfile: text.optional() },
  'a table { certfile = "…", keyfile = "…" }',
);

/** Reads the files and tries them. Undefined without TLS, or if it has mistakes. */
export async function readListenerTls(
  tls: z.output<typeof listenerTls> | undefined,
  path: Path,
  reader: SectionReader,
): Promise<ListenerTls | undefined> {
  if (tls === undefined) return undefined;
  const cert = await readPem(tls.certfile, [...path, 'certfile'], reader);
  const key = await readPem(tls.keyfile, [...path, 'keyfile'], reader);
  const ca = await readPem(tls.cacertfile, [...path, 'cacertfile'], reader);
  if (cert === undefined || key === undefined) return undefined;
  try {
    createSecureContext({ cert, key, passphrase: tls.password, ca });
  } catch (error) {
    reader.mistake(path, { received: 'invalid files', expected: `a certificate with its key (${toError(error).message})` });
  }
  return new ListenerTls({ cert, key, passphrase: tls.password, ca });
}

/** Hands the certificates of a new configuration to the listeners that run since the start. */
export function renewCertificates(started: Config, next: Config): void {
  const renewed = certificatesOf(next);
  for (const [index, tls] of certificatesOf(started).entries()) {
    const latest = renewed[index];
    if (tls !== undefined && latest !== undefined) tls.renew(latest);
  }
}

/** Those of all listeners in the order of the file, which only a restart changes. */
function certificatesOf({ admin, gate, attachments }: Config): readonly (ListenerTls | undefined)[] {
  return [admin, gate, ...attachments].map((one) =>
    one !== undefined && 'tls' in one && one.tls instanceof ListenerTls ? one.tls : undefined,
  );
}
