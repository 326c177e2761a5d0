import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { type RequestOptions, request as requestTls } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import { checkServerIdentity, rootCertificates } from 'node:tls';
import type { z } from 'zod';
import { apiRoot } from '../admin/api/openapi.ts';
import { refusalShape } from '../admin/api/values.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadAdmin } from '../config/load.ts';
import type { ListenConfig } from '../config/service-config.ts';
import { messageOf, ServiceError, toError } from '../kit/errors.ts';
import { readJson } from '../kit/json.ts';
import type { Secret } from '../kit/secret.ts';
import type { OptionName, OptionValues } from './options.ts';
import { printable } from './terminal.ts';

/** The options of every command that calls a running service. */
export const serviceOptions = ['ca', 'cert', 'config', 'json', 'key', 'token', 'url'] as const satisfies readonly OptionName[];

/** Finds the service by --url, or by `[admin]` of the configuration file. Throws USAGE, or the mistakes of the file. */
export async function findService(values: OptionValues): Promise<AdminClient> {
  const trust = await readTrust(values);
  if (values.url !== undefined) return new AdminClient(readUrl(values.url), values.token, trust);
  const { host, port, tls, token } = await loadAdmin(locateConfig(values.config, readEnvironment()), readEnvironment());
  if (port === 0)
    throw new ServiceError('USAGE', '[admin] listen uses a random port (0), which only the log of the service shows: give --url');
  return new AdminClient(new URL(reachableAddress({ host, port, tls })), values.token ?? reveal(token), { ...trust, known: tls?.pem.cert });
}

/** Reads the files of --ca, --cert and --key. Throws USAGE. */
async function readTrust({ ca, cert, key }: OptionValues): Promise<Trust> {
  if ((cert === undefined) !== (key === undefined)) throw new ServiceError('USAGE', '--cert and --key belong together');
  const [authorities, ownCert, ownKey] = await Promise.all([ca, cert, key].map(readPem));
  return { ca: authorities, cert: ownCert, key: ownKey };
}

async function readPem(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return readFile(file, 'utf8').catch((thrown) => {
    throw new ServiceError('USAGE', `cannot read ${file}: ${messageOf(toError(thrown))}`, { cause: thrown });
  });
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isHttp && url.username + url.password !== '') throw new ServiceError('USAGE', '--url takes no user or password; give --token');
  if (isHttp) return url;
  throw new ServiceError('USAGE', `--url: received ${JSON.stringify(text)}, expected a URL such as "http://127.0.0.1:9464"`);
}

/** The URL of a service of this machine that listens there. */
export function reachableAddress({ host, port, tls }: Pick<ListenConfig, 'host' | 'port' | 'tls'>): string {
  return `${tls === undefined ? 'http' : 'https'}://${reachable(host)}:${port}`;
}

/** A service that listens on all addresses is reachable on the loopback address. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function reveal(token: Secret | undefined): string | undefined {
  return token?.reveal();
}

/**
 * The API of a running service. Throws ADMIN_UNREACHABLE if the service does not answer, ADMIN_REFUSED with its reason if it
 * refuses, and USAGE if it reports a wrong request.
 */
export class AdminClient {
  readonly #base: URL;
  readonly #root: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #trust: Trust;

  /** Throws USAGE for a token that no Authorization header can carry (RFC 6750 §2.1): it would look like a service that does not answer. */
  constructor(base: URL, token: string | undefined, trust: Trust = {}) {
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
      throw new ServiceError(
        'USAGE',
        'the token has spaces, line breaks or characters beyond ASCII, which a request cannot carry: choose another one',
      );
    this.#base = base;
    this.#trust = trust;
    this.#root = base.href.replace(/\/$/, '') + apiRoot;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  get<T>(path: string, answers: z.ZodType<T>, query: Query = {}): Promise<T> {
    return this.#request(path + queryString(query), answers);
  }

  post<T>(path: string, answers: z.ZodType<T>, body?: object): Promise<T> {
    return this.#request(path, answers, { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  async #request<T>(path: string, answers: z.ZodType<T>, { method = 'GET', body: sent }: Sent = {}): Promise<T> {
    const headers = { ...this.#headers, ...(sent === undefined ? {} : { 'content-type': 'application/json' }) };
    const { status, text } = await exchange(this.#root + path, { method, headers, body: sent, trust: this.#trust }).catch((thrown) => {
      throw unreachable(this.#base, thrown);
    });
    const json = readJson(text);
    const body = json.kind === 'read' ? json.value : undefined;
    if (status < 200 || status > 299) throw refused(this.#base, status, body);
    const read = answers.safeParse(body);
    if (read.success) return read.data;
    throw new ServiceError('ADMIN_REFUSED', `the server at ${this.#base.origin} is not an event-pusher of this version`, {
      cause: read.error,
    });
  }
}

interface Sent {
  readonly method?: string;
  readonly body?: string | undefined;
}

/** Contents of PEM files with which a service and its client trust each other. */
interface Trust {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The certificate of the service, which is then accepted under any name. */
  readonly known?: string | undefined;
}

interface Request extends Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly trust: Trust;
  readonly timeoutMs?: number;
}

/** The body of the readiness of a service that listens there. Rejects if nothing answers. */
export async function readinessAt(listen: Pick<ListenConfig, 'host' | 'port' | 'tls'>): Promise<string> {
  const trust = { known: listen.tls?.pem.cert };
  return (await exchange(`${reachableAddress(listen)}/readyz`, { headers: {}, trust, timeoutMs: answerTimeoutMs })).text;
}

/** A service on this machine answers within this time, ms. */
const answerTimeoutMs = 2000;

/** Sends a request, and follows no redirect. Rejects also if the connection breaks within the response. */
function exchange(
  url: string,
  { method, headers, body, trust, timeoutMs }: Request,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options = {
      method,
      headers: { ...headers, ...length },
      agent: false,
      ...(timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
    } as const;
    const received = (response: IncomingMessage): void => {
      const status = response.statusCode ?? 0;
      readText(response).then((text) => resolve({ status, text }), reject);
    };
    const secured = url.startsWith('https:') ? requestTls(url, { ...options, ...tlsOf(trust) }, received) : undefined;
    (secured ?? requestPlain(url, options, received)).on('error', reject).end(body);
  });
}

/** The public authorities, and those that are given. */
function tlsOf({ ca, cert, key, known }: Trust): RequestOptions {
  const own = known === undefined ? undefined : new X509Certificate(known).raw;
  return {
    ca: [...rootCertificates, ...[ca ?? [], known ?? []].flat()],
    allowPartialTrustChain: true,
    ...(cert === undefined ? {} : { cert, key }),
    checkServerIdentity: (host, peer) => (own?.equals(peer.raw) === true ? undefined : checkServerIdentity(host, peer)),
  };
}

/** Undefined values are left out; a list is given value by value. */
type Query = Readonly<Record<string, number | string | boolean | readonly string[] | undefined>>;

function queryString(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value = []] of Object.entries(query)) for (const each of [value].flat()) given.append(name, String(each));
  return given.size === 0 ? '' : `?${given}`;
}

function unreachable(base: URL, thrown: unknown): ServiceError {
  const error = toError(thrown);
  const reason = messageOf(error.cause instanceof Error ? error.cause : error);
  const message = `no service answers at ${base.origin} (${reason}): start it with "event-pusher run", or give its address with --config or --url`;
  return new ServiceError('ADMIN_UNREACHABLE', message, { cause: error });
}

function refused(base: URL, status: number, body: unknown): ServiceError {
  const read = refusalShape.safeParse(body);
  if (!read.success) return new ServiceError('ADMIN_REFUSED', `the server at ${base.origin} is not an event-pusher: it answers ${status}`);
  if (read.data.code === 'BAD_REQUEST') return new ServiceError('USAGE', printable(read.data.message));
  const hint = tokenCodes.includes(read.data.code) ? '; give it with --token, or with a FILE that contains it' : '';
  return new ServiceError('ADMIN_REFUSED', printable(read.data.message) + hint);
}

const tokenCodes = ['CONTENT_HIDDEN', 'READ_ONLY', 'UNAUTHORIZED'];
