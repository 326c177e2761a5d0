import type { SecureContextOptions, TlsOptions } from 'node:tls';

/** The contents of files. */
export interface ListenerPem {
  readonly cert: string;
  readonly key: string;
  readonly passphrase: string | undefined;
  /** Authorities of client certificates; undefined: no client certificate is requested. */
  readonly ca: string | undefined;
}

/** TLS of a listener. Its certificates can be exchanged while it listens. The key is in no output. */
export class ListenerTls {
  #pem: ListenerPem;
  readonly #users = new Set<(options: SecureContextOptions) => void>();

  constructor(pem: ListenerPem) {
    this.#pem = pem;
  }

  get pem(): ListenerPem {
    return this.#pem;
  }

  /** Options of a server. */
  get options(): TlsOptions {
    const hasClients = this.#pem.ca !== undefined;
    return { ...contextOf(this.#pem), requestCert: hasClients, rejectUnauthorized: hasClients };
  }

  /** Calls `use` with each later certificate. */
  onRenewed(use: (options: SecureContextOptions) => void): void {
    this.#users.add(use);
  }

  /** Takes over the certificates of another one. New connections use them. */
  renew({ pem }: ListenerTls): void {
    this.#pem = pem;
    for (const use of this.#users) use(contextOf(pem));
  }
}

/** Never below TLS 1.2, whatever Node's default is. */
function contextOf({ cert, key, passphrase, ca }: ListenerPem): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(passphrase === undefined ? {} : { passphrase }), ...(ca === undefined ? {} : { ca }) };
}
