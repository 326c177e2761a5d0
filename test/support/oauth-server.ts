import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

/** An OAuth 2.0 server (oidc-provider) with two clients of the same secret: one sends it as Basic credentials, one in the body. */
export interface OAuthServer extends AsyncDisposable {
  readonly tokenUrl: string;
  /** Number of tokens that it has issued. */
  issued(): number;
  /** Whether it has issued this token, which has not expired, and for which scope. */
  scopeOf(token: string): Promise<string | undefined>;
}

export const oauthClient = { clientId: 'pusher: 1', clientSecret: 's&cret + 100%', authMethod: 'client_secret_basic' } as const;
export const postingClient = { ...oauthClient, clientId: 'pusher: 2', authMethod: 'client_secret_post' } as const;

export async function startOAuthServer(): Promise<OAuthServer> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const grants = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'events:write' };
  const provider = new Provider(issuer, {
    clients: [oauthClient, postingClient].map(({ clientId, clientSecret, authMethod }) => ({
      ...{ client_id: clientId, client_secret: clientSecret, token_endpoint_auth_method: authMethod },
      ...grants,
    })),
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
