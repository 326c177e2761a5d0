import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { toError } from '../kit/errors.ts';
import type { PoolConfig } from './config.ts';
import type { Reading } from './reading.ts';
import type { TlsSection } from './schema/pool.ts';
import { type Path, showPath } from './table.ts';

type PoolTls = PoolConfig['tls'];

/** That of a pool without TLS options: certificates are checked against the authorities that Node knows. */
export const untouchedTls: PoolTls = {
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

/** A pool's TLS options with their files read and tried. What MongooseIM has and Node has not becomes a notice. */
export async function readTls(tls: TlsSection | undefined, path: Path, reading: Reading): Promise<PoolTls> {
  if (tls === undefined) return untouchedTls;
  complainOfHalves(tls, path, reading);
  noticeDifferences(tls, path, reading);

  const result: PoolTls = {
    verify: tls.verify_mode !== 'none',
    ca: await readPem(tls.cacertfile, [...path, 'cacertfile'], reading),
    cert: await readPem(tls.certfile, [...path, 'certfile'], reading),
    key: await readPem(tls.keyfile, [...path, 'keyfile'], reading),
    passphrase: tls.password,
    ciphers: tls.ciphers,
    ...versionRange(tls, path, reading),
    serverName: tls.server_name_indication.enabled ? tls.server_name_indication.host : undefined,
  };
  tryOut(result, path, reading);
  return result;
}

async function readPem(file: string | undefined, path: Path, reading: Reading): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const absolute = resolve(reading.folder, file);
  try {
    return await readFile(absolute, 'utf8');
  } catch (error) {
    const { code, message }: NodeJS.ErrnoException = toError(error);
    reading.mistake(path, { expected: `a file that can be read: ${absolute} (${code ?? message})` });
    return undefined;
  }
}

function complainOfHalves(tls: TlsSection, path: Path, reading: Reading): void {
  if (tls.certfile !== undefined && tls.keyfile === undefined) {
    reading.mistake([...path, 'keyfile'], { expected: 'the key of certfile' });
  }
  if (tls.keyfile !== undefined && tls.certfile === undefined) {
    reading.mistake([...path, 'certfile'], { expected: 'the certificate of keyfile' });
  }
}

/** The oldest and newest of the listed versions; what is older than TLS 1.2 is never offered. */
function versionRange(tls: TlsSection, path: Path, reading: Reading): Pick<PoolTls, 'maxVersion' | 'minVersion'> {
  const { versions } = tls;
  if (versions === undefined) return { minVersion: undefined, maxVersion: undefined };

  const old = versions.filter((version) => version === 'tlsv1' || version === 'tlsv1.1');
  if (old.length === versions.length) {
    reading.mistake([...path, 'versions'], { expected: 'tlsv1.2 or tlsv1.3 among the versions' });
  } else if (old.length > 0) {
    reading.notice(`${showPath([...path, 'versions'])}: ${old.join(' and ')} is never offered, only TLS 1.2 and newer`);
  }
  return {
    minVersion: versions.includes('tlsv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('tlsv1.3') ? 'TLSv1.3' : 'TLSv1.2',
  };
}

function noticeDifferences(tls: TlsSection, path: Path, reading: Reading): void {
  const say = (key: string, text: string): void => reading.notice(`${showPath([...path, ...key.split('.')])}: ${text}`);
  const { enabled, protocol } = tls.server_name_indication;

  if (tls.verify_mode === 'none') say('verify_mode', '"none" accepts any certificate: whoever sits in between reads the messages');
  if (tls.verify_mode === 'selfsigned_peer') {
    say('verify_mode', '"selfsigned_peer" accepts a self-signed certificate here only if cacertfile holds it');
  }
  if (!enabled) say('server_name_indication.enabled', 'has no effect, the name is always sent and checked');
  if (protocol === 'default') say('server_name_indication.protocol', 'names are always matched as for HTTPS, wildcards included');
  if (!tls.disconnect_on_failure) say('disconnect_on_failure', 'has no effect, a certificate that fails always ends the connection');
  if (tls.crl_files.length > 0) say('crl_files', 'has no effect, revocation lists are not checked');
}

/** Has Node take the pieces once, so that a wrong password or a broken file is found now and not at the first request. */
function tryOut(tls: PoolTls, path: Path, reading: Reading): void {
  const { ca, cert, key, passphrase, ciphers } = tls;
  try {
    createSecureContext({ ca, cert, key, passphrase, ciphers });
  } catch (error) {
    reading.mistake(path, { received: 'files or ciphers that do not fit', expected: `usable TLS options (${toError(error).message})` });
  }
}
