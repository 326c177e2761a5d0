import { rootCertificates } from 'node:tls';
import type { PoolTls } from './contract.ts';

/** Public authorities, and those of the pool. The pool's client certificate and server name are meant for the backend only. */
export function tokenTls<T extends PoolTls>(tls: T): T {
  const ca = tls.ca === undefined ? undefined : [...rootCertificates, tls.ca].join('\n');
  return { ...tls, verify: true, ca, cert: undefined, key: undefined, passphrase: undefined, serverName: undefined };
}
