/** `check --online`: connects to each chat server and each backend, without sending anything that a user or backend would notice. */
import { createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { createDial } from '../../pools/connection.ts';
import { connectThrough } from '../../pools/egress.ts';
import type { ComponentAttachment, PoolConfig } from '../config/config.ts';
import { createMask } from '../config/secrets.ts';
import type { Attachment, Config } from '../config/service-config.ts';
import { systemClock, systemTimers, within } from '../kit/clock.ts';
import { dialTcp } from '../kit/dial-tcp.ts';
import { messageOf, toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { ComponentStream } from '../sources/component/stream.ts';
import { reachableAddress } from './admin-client.ts';

/** The result of one connection. */
export interface Probe {
  /** `attachment chat at xmpp://127.0.0.1:5347`, `pool http_pool at http://127.0.0.1:8000` */
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Limit of each probe, ms. */
const probeTimeoutMs = 10_000;

/**
 * All probes, in the order of the configuration. The attachments of a service that runs at the admin address are not connected again, because
 * its chat server would take the second connection for another pusher: the service reports their states.
 */
export async function probeAll(config: Config): Promise<readonly Probe[]> {
  const running = await readinessOf(config.admin);
  const attachments = running ?? config.attachments.flatMap(probesOf);
  const pools = config.pools.filter(({ origin }) => origin !== '').map((pool) => probeBackend(pool.id, pool));
  const mask = createMask(config.redacted);
  return Promise.all([...attachments, ...pools].map(async (probe) => masked(await probe, mask)));
}

const readiness = z.object({ checks: z.array(z.object({ name: z.string(), ready: z.boolean(), reason: z.string() })) });

/** A service on this machine answers within this time, ms. */
const answerTimeoutMs = 2000;

/** The states of the attachments of the service that runs at this address; undefined if none does. */
async function readinessOf(listen: { readonly host: string; readonly port: number }): Promise<readonly Probe[] | undefined> {
  if (listen.port === 0) return undefined;
  const answer = await fetch(`${reachableAddress(listen)}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(answerTimeoutMs) })
    .then((response) => response.json())
    .catch(() => undefined); // nothing answers, or another program
  const read = readiness.safeParse(answer);
  if (!read.success) return undefined;
  const attachments = read.data.checks.filter(({ name }) => name.startsWith('attachment ') || name === 'service');
  return attachments.map(({ name, ready, reason }) => ({
    name: `${name}, of the running service`,
    ok: ready,
    detail: ready ? 'attached' : reason,
  }));
}

function masked({ name, ok, detail }: Probe, mask: (text: string) => string): Probe {
  return { name: mask(name), ok, detail: mask(detail) };
}

function probesOf(attachment: Attachment): readonly Promise<Probe>[] {
  switch (attachment.type) {
    case 'client': {
      const { host, port } = attachment.service;
      return [probe(`attachment ${attachment.name} at ${host}:${port}`, probePort({ host, port }))];
    }
    case 'component':
      return attachment.nodes.map((node) => probe(`attachment ${attachment.name} at ${node.name}`, probeComponent(attachment, node)));
    case 'exits':
      return attachment.listeners.map((listener) =>
        probe(`attachment ${attachment.name}, listener ${listener.name}`, probeListen(listener)),
      );
    case 'http':
      return [probe(`attachment ${attachment.name}`, probeListen(attachment.listen))];
    default:
      return attachment satisfies never;
  }
}

/** Resolves with what was found; rejects with what failed. */
type Finding = Promise<string>;

/** `advise` says what to do about the code of an error, which is `TIMEOUT` if there was no answer. */
async function probe(name: string, finding: Finding, advise: (code: string) => string = () => ''): Promise<Probe> {
  const failed = (reason: string, code: string): Probe => ({ name, ok: false, detail: [reason, advise(code)].filter(Boolean).join(': ') });
  try {
    const isInTime = await within(finding, probeTimeoutMs, systemTimers);
    return isInTime ? { name, ok: true, detail: await finding } : failed(`no answer within ${probeTimeoutMs / 1000} s`, 'TIMEOUT');
  } catch (thrown) {
    const error = toError(thrown);
    return failed(messageOf(error), 'code' in error ? String(error.code) : '');
  }
}

/** The handshake of the component; its feed is not requested. */
function probeComponent(
  { domain, secret, hosts, ...attachment }: ComponentAttachment,
  node: ComponentAttachment['nodes'][number],
): Finding {
  const found = createDeferred<string>();
  const stream = new ComponentStream(
    {
      ...attachment,
      service: node,
      domain,
      secret,
      pingTo: hosts[0] ?? domain,
      connectTimeoutMs: probeTimeoutMs,
      clock: systemClock,
      timers: systemTimers,
    },
    {
      onUp: () => found.resolve(`the server accepts the component ${domain}; its hosts and feed are not tried`),
      onStanza: () => undefined,
      onUnreadable: () => undefined,
      onRead: () => undefined,
      onEnd: ({ kind, reason }) => {
        if (kind === 'occupied') found.resolve(`another process is attached as ${domain}; this one would stand by`);
        else found.reject(new Error(reason));
      },
    },
  );
  return found.promise.finally(() => stream.close());
}

/** An account is not logged in: its server would send it the messages that wait. */
function probePort(endpoint: { readonly host: string; readonly port: number }): Finding {
  const found = createDeferred<string>();
  dialTcp(endpoint, (error, socket) => {
    socket?.destroy();
    if (error === undefined) found.resolve('the port answers; the login is not tried');
    else found.reject(error);
  });
  return found.promise;
}

function probeListen({ host, port }: { readonly host: string; readonly port: number }): Finding {
  const found = createDeferred<string>();
  const server = createServer()
    .once('error', found.reject)
    .listen({ host, port }, () => server.close(() => found.resolve(`${host}:${port} is free`)));
  return found.promise;
}

function probeBackend(pool: string, settings: BackendSettings): Promise<Probe> {
  const found = createDeferred<string>();
  const connect = connectThrough({ ...settings.egress, proxy: settings.egress.proxy?.reveal() });
  const handle = createDial(
    settings,
    undefined,
    connect,
  )((error, socket) => {
    if (error !== undefined) return found.reject(error);
    socket.on('error', () => undefined); // the connection has served its purpose
    found.resolve(socket instanceof TLSSocket ? `connected with ${socket.getProtocol()}` : 'connected');
  });
  return probe(`pool ${pool} at ${settings.origin}`, found.promise, adviceAboutBackend).finally(() => handle.destroy());
}

type BackendSettings = Pick<PoolConfig, 'egress' | 'origin' | 'tls'>;

/** What to do if the connection to a backend fails with this code of the system, of DNS, or of TLS. */
function adviceAboutBackend(code: string): string {
  if (/^CERT_(NOT_YET_VALID|HAS_EXPIRED)$/.test(code)) return 'renew the certificate, or correct the clock of this machine';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'use a name of the certificate in connection.host, or give it as connection.tls.server_name_indication.host';
  if (/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT/.test(code)) return 'name the authority that signed it in connection.tls.cacertfile';
  if (/^(EPROTO|ERR_SSL)/.test(code)) return 'if the backend does not speak TLS, use http:// in connection.host';
  return adviceAboutNetwork.get(code) ?? '';
}

const adviceAboutNetwork = new Map([
  ['ADDRESS_REFUSED', 'correct connection.host; if the address is meant, list it in allow of [egress]'],
  ['EAI_AGAIN', 'the DNS server of this machine does not answer: check /etc/resolv.conf'],
  ['ECONNREFUSED', 'nothing listens there: start the backend, or correct connection.host'],
  ['ECONNRESET', 'the backend, or a proxy in front of it, ended the connection: see its log; it may require connection.tls.certfile'],
  ['EHOSTUNREACH', 'no route leads there: check the network of this machine'],
  ['ENETUNREACH', 'no route leads there: check the network of this machine'],
  ['ENOTFOUND', 'the name does not exist: correct connection.host, or the DNS of this machine'],
  ['PROXY_FAILED', 'check proxy of [egress] and of the pool, and the log of the proxy'],
  ['ETIMEDOUT', 'a firewall may drop the packets, or connection.host is wrong'],
  ['TIMEOUT', 'a firewall may drop the packets, or the server does not answer a TLS handshake'],
]);
