import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import { toError } from '../kit/errors.ts';
import type { PoolConfig } from './config.ts';
import type { Path } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';
import { flag, listOf, oneOf, section, text } from './values.ts';

/** MongooseIM's TLS client options. */
export const tls = section({
  verify_mode: oneOf(['peer', 'selfsigned_peer', 'none']).default('peer'),
  cacertfile: text.optional(),
  certfile: text.optional(),
  keyfile: text.optional(),
  password: text.optional(),
  ciphers: text.optional(),
  versions: listOf(oneOf(['tlsv1', 'tlsv1.1', 'tlsv1.2', 'tlsv1.3']), 'a list of TLS versions').optional(),
  server_name_indication: section({
    enabled: flag.default(true),
    host: text.optional(),
    protocol: oneOf(['default', 'https']).optional(),
  }).prefault({}),
  disconnect_on_failure: flag.default(true),
  crl_files: z.array(text, { error: 'a list of file names' }).default([]),
});

type TlsSection = z.output<typeof tls>;

type PoolTls = PoolConfig['tls'];

/** TLS of a pool without TLS options: certificates are verified against Node's certificate authorities. */
export const defaultTls: PoolTls = {
  verify: true,
  ca: undefined,
  cert: undefined,
  key: undefined,
  passphrase: undefined,
  ciphers: undefined,
  minVersion: undefined,
  maxVersion: undefined,
  serverName: undefined,
};

/** Reads the files of the TLS options and tries them. Options of MongooseIM that Node does not have become notices. */
export async function readTls(tls: TlsSection | undefined, path: Path, reader: SectionReader): Promise<PoolTls> {
  if (tls === undefined) return defaultTls;
  requirePair(tls, path, reader);
  noticeTlsDifferences(tls, path, reader);

  const result: PoolTls = {
    verify: tls.verify_mode !== 'none',
    ca: await readAuthorities(tls.cacertfile, [...path, 'cacertfile'], reader),
    cert: await readPem(tls.certfile, [...path, 'certfile'], reader),
    key: await readPem(tls.keyfile, [...path, 'keyfile'], reader),
    passphrase: tls.password,
    ciphers: tls.ciphers,
    ...versionRange(tls, path, reader),
    serverName: tls.server_name_indication.enabled ? tls.server_name_indication.host : undefined,
  };
  tryOptions(result, path, reader);
  return result;
}

/** Node ignores a file without certificates, and would then trust no backend. */
async function readAuthorities(file: string | undefined, path: Path, reader: SectionReader): Promise<string | undefined> {
  const text = await readPem(file, path, reader);
  if (text !== undefined && !/^-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/m.test(text))
    reader.mistake(path, {
      expected: `a file with certificates in PEM (-----BEGIN CERTIFICATE-----): ${resolve(reader.folder, file ?? '')}`,
    });
  return text;
}

/** The content of a PEM file; undefined without one, or if it cannot be read, which is then reported. */
export async function readPem(file: string | undefined, path: Path, reader: SectionReader): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const absolute = resolve(reader.folder, file);
  try {
    return await reader.files.read(absolute);
  } catch (error) {
    const { code, message }: NodeJS.ErrnoException = toError(error);
    reader.mistake(path, { expected: `a readable file: ${absolute} (${code ?? message})` });
    return undefined;
  }
}

function requirePair(tls: TlsSection, path: Path, reader: SectionReader): void {
  if (tls.certfile !== undefined && tls.keyfile === undefined) {
    reader.mistake([...path, 'keyfile'], { expected: 'the key of certfile' });
  }
  if (tls.keyfile !== undefined && tls.certfile === undefined) {
    reader.mistake([...path, 'certfile'], { expected: 'the certificate of keyfile' });
  }
}

/** The oldest and newest of the listed versions; versions before TLS 1.2 are never offered. */
function versionRange(tls: TlsSection, path: Path, reader: SectionReader): Pick<PoolTls, 'maxVersion' | 'minVersion'> {
  const { versions } = tls;
  if (versions === undefined) return { minVersion: undefined, maxVersion: undefined };

  const old = versions.filter((version) => version === 'tlsv1' || version === 'tlsv1.1');
  if (old.length === versions.length) {
    reader.mistake([...path, 'versions'], { expected: 'tlsv1.2 or tlsv1.3 among the versions' });
  } else if (old.length > 0) {
    reader.notice([...path, 'versions'], `${old.join(' and ')} is never offered, only TLS 1.2 and newer`);
  }
  return {
    minVersion: versions.includes('tlsv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('tlsv1.3') ? 'TLSv1.3' : 'TLSv1.2',
  };
}

function noticeTlsDifferences(tls: TlsSection, path: Path, reader: SectionReader): void {
  const notice = (key: string, text: string): void => reader.notice([...path, ...key.split('.')], text);
  const { enabled, protocol } = tls.server_name_indication;

  if (tls.verify_mode === 'none')
    notice('verify_mode', '"none" accepts any certificate, so an attacker on the network path can read the messages');
  if (tls.verify_mode === 'selfsigned_peer') {
    notice('verify_mode', '"selfsigned_peer" accepts a self-signed certificate only if cacertfile contains it');
  }
  if (!enabled) notice('server_name_indication.enabled', 'has no effect: the name is always sent and verified');
  if (protocol === 'default')
    notice('server_name_indication.protocol', 'has no effect: names are always matched as for HTTPS, including wildcards');
  if (!tls.disconnect_on_failure) notice('disconnect_on_failure', 'has no effect: an invalid certificate always ends the connection');
  if (tls.crl_files.length > 0) notice('crl_files', 'has no effect: revocation lists are not checked');
}

/** Finds a wrong password or a broken file now instead of at the first request. */
function tryOptions(tls: PoolTls, path: Path, reader: SectionReader): void {
  const { ca, cert, key, passphrase, ciphers } = tls;
  try {
    createSecureContext({ ca, cert, key, passphrase, ciphers });
  } catch (error) {
    reader.mistake(path, { received: 'invalid files or ciphers', expected: `usable TLS options (${toError(error).message})` });
  }
}
