import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { got, type HttpsOptions } from 'got';
import type { PoolThreadSettings, PoolTls } from './contract.ts';
import { type Agents, startGotCall } from './got-call.ts';
import type { HttpClient, HttpClientSurroundings } from './http-client.ts';
import { requestHeaders } from './request-headers.ts';

/** How long an idle connection is kept at most, ms. Node's agent also ends it before the server's `keep-alive: timeout`. */
const KEEP_ALIVE_MS = 4000;

/** The same behaviour as the undici client, for several times its CPU. */
export function createGotClient({ settings, clock }: HttpClientSurroundings): HttpClient {
  const { origin, userAgent } = settings;
  const client = got.extend({
    allowGetBody: true,
    decompress: false,
    followRedirect: false,
    https: httpsOptions(settings.tls),
    retry: { limit: 0 },
    throwHttpErrors: false,
  });
  const pooled = createAgents(settings, { keepAlive: true });
  const fresh = createAgents(settings, { keepAlive: false });

  return {
    send: (exchange, free) => {
      const headers = requestHeaders(exchange.job, { userAgent, now: clock.now() });
      const last = { client, origin, headers, agents: fresh, onEnd: free, onStale: undefined };
      // What a stale connection failed goes out once more on a fresh one, as part of the same attempt.
      const resend = (): void => {
        exchange.resend();
        startGotCall(exchange, last);
      };
      startGotCall(exchange, { ...last, agents: pooled, onStale: resend });
    },
    close: () => {
      for (const agent of [pooled.http, pooled.https, fresh.http, fresh.https]) agent.destroy();
      return Promise.resolve();
    },
  };
}

function createAgents({ workers }: PoolThreadSettings, { keepAlive }: { readonly keepAlive: boolean }): Agents {
  const options = { keepAlive, maxSockets: workers, maxFreeSockets: workers, scheduling: 'lifo', timeout: KEEP_ALIVE_MS } as const;
  return { http: new HttpAgent(options), https: new HttpsAgent(options) };
}

/** The pool's TLS in got's words; what is undefined stays Node's default. */
function httpsOptions(tls: PoolTls): HttpsOptions {
  const given = {
    certificateAuthority: tls.ca,
    certificate: tls.cert,
    key: tls.key,
    passphrase: tls.passphrase,
    ciphers: tls.ciphers,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    serverName: tls.serverName,
  };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...set, rejectUnauthorized: tls.verify };
}
