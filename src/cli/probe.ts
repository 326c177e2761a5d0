/** One connection that `check --online` tries, and what to do if it fails. */
import { systemTimers, within } from '../kit/clock.ts';
import { messageOf, toError } from '../kit/errors.ts';

/** The result of one connection. */
export interface Probe {
  /** `attachment chat at xmpp://127.0.0.1:5347`, `pool http_pool at http://127.0.0.1:8000` */
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Limit of each probe, ms. */
export const probeTimeoutMs = 10_000;

/** Resolves with what was found; rejects with what failed. */
export type Finding = Promise<string>;

/** `advise` says what to do about the code of an error, which is `TIMEOUT` if there was no answer. */
export async function probe(name: string, finding: Finding, advise: (code: string) => string = () => ''): Promise<Probe> {
  const failed = (reason: string, code: string): Probe => ({ name, ok: false, detail: [reason, advise(code)].filter(Boolean).join(': ') });
  try {
    const isInTime = await within(finding, probeTimeoutMs, systemTimers);
    return isInTime ? { name, ok: true, detail: await finding } : failed(`no answer within ${probeTimeoutMs / 1000} s`, 'TIMEOUT');
  } catch (thrown) {
    const error = toError(thrown);
    return failed(messageOf(error), 'code' in error ? String(error.code) : '');
  }
}

/** What a destination is called in advice. */
export interface Destination {
  /** The setting that names it. */
  readonly setting: string;
  /** How to make its certificate trusted. */
  readonly trust: string;
}

/** What to do if the connection to a destination fails with this code of the system, of DNS, or of TLS. */
export function adviceAbout({ setting, trust }: Destination): (code: string) => string {
  return (code) => {
    if (/^CERT_(NOT_YET_VALID|HAS_EXPIRED)$/.test(code)) return 'renew the certificate, or correct the clock of this machine';
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
      const override = setting === 'connection.host' ? ', or give it as connection.tls.server_name_indication.host' : '';
      return `use a name of the certificate in ${setting}${override}`;
    }
    if (/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT/.test(code)) return trust;
    if (/^(EPROTO|ERR_SSL)/.test(code)) return `if the backend does not speak TLS, use http:// in ${setting}`;
    return (adviceAboutNetwork.get(code) ?? '').replaceAll('SETTING', setting);
  };
}

const adviceAboutNetwork = new Map([
  ['ADDRESS_REFUSED', 'correct SETTING; if the address is meant, list it in allow of [egress]'],
  ['DESTINATION_REFUSED', 'correct SETTING; if the address is meant, list it there as an address or CIDR'],
  ['EAI_AGAIN', 'the DNS server of this machine does not answer: check /etc/resolv.conf'],
  ['ECONNREFUSED', 'nothing listens there: start the backend, or correct SETTING'],
  [
    'ECONNRESET',
    'the backend, or a proxy in front of it, ended the connection: see its log; it may require a certificate of the client (connection.tls.certfile)',
  ],
  ['EHOSTUNREACH', 'no route leads there: check the network of this machine'],
  ['ENETUNREACH', 'no route leads there: check the network of this machine'],
  ['ENOTFOUND', 'the name does not exist: correct SETTING, or the DNS of this machine'],
  ['PROXY_FAILED', 'check proxy of [egress] and of the pool, and the log of the proxy'],
  ['ETIMEDOUT', 'a firewall may drop the packets, or SETTING is wrong'],
  ['TIMEOUT', 'a firewall may drop the packets, or the server does not answer a TLS handshake'],
]);

/** What to do if PostgreSQL refuses the session, by SQLSTATE, or cannot be reached. */
export function adviceAboutDatabase(code: string): string {
  return (
    adviceOfServer.get(code) ?? adviceAbout({ setting: '[spool] url', trust: 'name the authority with sslrootcert in [spool] url' })(code)
  );
}

const adviceOfServer = new Map([
  ['28000', 'allow the role and this machine in pg_hba.conf, or correct [spool] url'],
  ['28P01', 'correct the user or password in [spool] url'],
  ['3D000', 'create the database, or correct [spool] url'],
  ['53300', 'raise max_connections: the spool needs one connection'],
  ['57P03', 'the server is starting or stopping: try again'],
]);
