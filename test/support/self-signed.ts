import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A key and its own certificate, in PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

/** Makes a self-signed certificate for these names (`DNS:…`, `IP:…`); with `expired` it expired yesterday. Needs the openssl program. */
export function makeSelfSigned(names: readonly string[], { expired = false }: { readonly expired?: boolean } = {}): Identity {
  const directory = mkdtempSync(join(tmpdir(), 'self-signed-'));
  const keyFile = join(directory, 'key.pem');
  const certFile = join(directory, 'cert.pem');
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const about = ['-days', '1', '-subj', '/CN=target', '-addext', `subjectAltName=${names.join(',')}`];
    execFileSync('openssl', ['req', '-x509', ...curve, ...about, '-keyout', keyFile, '-out', certFile], { stdio: 'pipe' });
    if (expired) {
      const again = ['-in', certFile, '-signkey', keyFile, '-days', '-1', '-out', certFile];
      execFileSync('openssl', ['x509', ...again], { stdio: 'pipe' }); // `req` accepts no days below 1
    }
    return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
