/**
 * Requests an access token with client credentials (RFC 6749 §4.4), over the pool's own HTTP client: addresses are checked when they
 * are dialled, time and size are limited, and no redirect is followed, so that the secret goes to the configured endpoint only.
 */
import { lookup as systemLookup } from 'node:dns';
import { clientCredentials } from '../src/kit/client-credentials.ts';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import { asObject, readJson } from '../src/kit/json.ts';
import type { HttpOutcome } from '../src/model/attempt.ts';
import type { DeliveryId } from '../src/model/delivery.ts';
import type { TokenAnswer } from './access-tokens.ts';
import { Connection, createDial } from './connection.ts';
import type { Job, PoolThreadSettings, TokenClient } from './contract.ts';
import { destinationRefused, guardDestination, guarded } from './destination-guard.ts';
import { connectThrough } from './egress.ts';
import { Exchange, type ExchangeContext } from './exchange.ts';
import type { NewWorker } from './http-client.ts';
import { tokenTls } from './token-tls.ts';

interface EndpointParts {
  readonly context: Pick<ExchangeContext, 'clock' | 'deadlines'>;
  readonly resolve: Resolve | undefined;
  /** Creates workers of the pool's HTTP client for an origin. */
  readonly workersFor: (origin: string) => Promise<NewWorker>;
}

type EndpointSettings = Pick<PoolThreadSettings, 'callTimeoutMs' | 'egress' | 'requestTimeoutMs' | 'tls' | 'userAgent'>;

const MAX_ANSWER_BYTES = 64 * 1024;

/** Share of the time limit of an attempt, so that the attempt ends with the reason of this request and not with a limit of its own. */
const SHARE_OF_TIME = 0.8;

export class TokenEndpoint {
  readonly #client: TokenClient;
  readonly #settings: EndpointSettings;
  readonly #parts: EndpointParts;
  readonly #url: URL;

  constructor(client: TokenClient, settings: EndpointSettings, parts: EndpointParts) {
    this.#client = client;
    this.#settings = settings;
    this.#parts = parts;
    this.#url = new URL(client.tokenUrl);
  }

  /** Never rejects. */
  readonly request = async (): Promise<TokenAnswer> => {
    const { origin, pathname } = this.#url;
    const limitMs = Math.max(1, SHARE_OF_TIME * Math.min(this.#settings.requestTimeoutMs, this.#settings.callTimeoutMs));
    const read = await this.#send(limitMs).then(readOutcome, (thrown: unknown) => String(thrown));
    if (typeof read !== 'string') return read;
    return { kind: 'failed', reason: `no access token from ${origin}${pathname}: ${read}` };
  };

  async #send(limitMs: number): Promise<HttpOutcome> {
    const { context, resolve = systemLookup, workersFor } = this.#parts;
    const { origin } = this.#url;
    const { egress } = this.#settings;
    const guard = guardDestination({ origin, allow: [this.#url.host], ownOrigin: origin }, egress.allow);
    if (guard.refusal !== undefined) throw destinationRefused(guard.refusal);
    const dial = createDial({ origin, tls: tokenTls(this.#settings.tls) }, guarded(resolve, guard), connectThrough(egress, resolve));
    const worker = (await workersFor(origin))(new Connection(dial));
    return new Promise((conclude) => {
      const settings = { callTimeoutMs: limitMs, requestTimeoutMs: limitMs, maxResponseBytes: MAX_ANSWER_BYTES };
      const exchange = new Exchange(this.#job(), { ...context, settings, onOutcome: ({ outcome }) => conclude(outcome) });
      worker.send(exchange, { headers: this.#headers(), free: () => void worker.close() });
    });
  }

  #job(): Job {
    const { clientId, clientSecret, authMethod, scope, audience } = this.#client;
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      ...(authMethod === 'client_secret_post' ? { client_id: clientId, client_secret: clientSecret } : {}),
      ...(scope === undefined ? {} : { scope }),
      ...(audience === undefined ? {} : { audience }),
    }).toString();
    const path = `${this.#url.pathname}${this.#url.search}`;
    return { key: 0, id: noDelivery, attempt: 1, method: 'POST', path, headers: [], body, seenAt: '', wantsBody: true };
  }

  #headers(): string[] {
    const { clientId, clientSecret, authMethod } = this.#client;
    const type = 'application/x-www-form-urlencoded';
    const headers = ['accept', 'application/json', 'content-type', type, 'user-agent', this.#settings.userAgent];
    if (authMethod === 'client_secret_post') return headers;
    return [...headers, 'authorization', `Basic ${clientCredentials(clientId, clientSecret).basic}`];
  }
}

/** A request for a token belongs to no delivery. */
const noDelivery = '' as DeliveryId;

/** The token, or why there is none. */
function readOutcome(outcome: HttpOutcome): TokenAnswer | string {
  switch (outcome.kind) {
    case 'answered':
      if (outcome.truncated) return `its answer has more than ${MAX_ANSWER_BYTES} bytes`;
      return outcome.status === 200 ? readToken(outcome.body ?? '') : refusalOf(outcome.status, outcome.body ?? '');
    case 'broken':
    case 'unreachable':
    case 'unsent':
      return outcome.message.includes(outcome.code) ? outcome.message : `${outcome.code}: ${outcome.message}`;
    case 'timed-out':
      return `timed out (${outcome.phase}) after ${Math.round(outcome.durationMs)} ms`;
    default:
      return outcome satisfies never;
  }
}

/** The status, and the error code of RFC 6749 §5.2 if there is a valid one. Other text of the answer is not repeated: it may quote the secret. */
function refusalOf(status: number, body: string): string {
  const read = readJson(body);
  const code = read.kind === 'read' ? asObject(read.value)?.['error'] : undefined;
  if (typeof code === 'string' && /^[a-z_]{1,40}$/.test(code)) return `status ${status} (${code})`;
  return status >= 300 && status < 400 ? `status ${status}; redirects are not followed` : `status ${status}`;
}

const MAX_TOKEN_LENGTH = 16_384;
/** Lifetime of a token whose answer has no `expires_in`, ms. */
const DEFAULT_LIFETIME_MS = 300_000;
const MAX_LIFETIME_MS = 86_400_000;

/** Reads a successful answer (RFC 6749 §5.1). */
function readToken(body: string): TokenAnswer | string {
  const read = readJson(body);
  if (read.kind === 'too-deep') return 'its answer is nested too deeply';
  const answer = read.kind === 'read' ? asObject(read.value) : undefined;
  if (answer === undefined) return 'its answer is not a JSON object';
  const { access_token: token, token_type: type, expires_in: expiresIn } = answer;
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH || !/^[\x21-\x7e]+$/.test(token)) {
    return `access_token is not a text of 1 to ${MAX_TOKEN_LENGTH} printable ASCII characters without spaces`;
  }
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return 'token_type is not Bearer';
  const lifetimeMs = expiresIn === undefined || expiresIn === null ? DEFAULT_LIFETIME_MS : secondsIn(expiresIn) * 1000;
  if (!(lifetimeMs > 0)) return 'expires_in is not a positive number of seconds';
  return { kind: 'token', token, lifetimeMs: Math.min(lifetimeMs, MAX_LIFETIME_MS) };
}

/** Some servers write the number as text. NaN if it is none. */
function secondsIn(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
}
