import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

/** An OAuth 2.0 server (oidc-provider) with one client, `pusher: 1` with the secret `s&cret + 100%`. */
export interface OAuthServer extends AsyncDisposable {
  readonly tokenUrl: string;
  /** Number of tokens that it has issued. */
  issued(): number;
  /** Whether it has issued this token, which has not expired, and for which scope. */
  scopeOf(token: string): Promise<string | undefined>;
}

export const oauthClient = { clientId: 'pusher: 1', clientSecret: 's&cret + 100%' };

export async function startOAuthServer(): Promise<OAuthServer> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const client = { client_id: oauthClient.clientId, client_secret: oauthClient.clientSecret, scope: 'events:write' };
  const provider = new Provider(issuer, {
    clients: [{ ...client, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    scopes: ['events:write'],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    ttl: { ClientCredentials: 600 },
  });
  let count = 0;
  provider.on('client_credentials.saved', () => {
    count += 1;
  });
  server.on('request', provider.callback());
  return {
    tokenUrl: `${issuer}/token`,
    issued: () => count,
    scopeOf: async (token) => (await provider.ClientCredentials.find(token))?.scope,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
