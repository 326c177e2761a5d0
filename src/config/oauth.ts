/** `auth.oauth2` of a pool: an access token by client credentials (RFC 6749 §4.4). */
import { z } from 'zod';
import { clientCredentials } from '../kit/client-credentials.ts';
import { Secret } from '../kit/secret.ts';
import type { OAuthClient } from './config.ts';
import type { Path } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';
import { oneOf, section } from './values.ts';

const maxLength = 1024;
const printableExpected = `a string of 1 to ${maxLength} printable ASCII characters`;

/** RFC 6749 appendix A.1 and A.2. */
const printable = z
  .string({ error: printableExpected })
  .max(maxLength, { error: printableExpected })
  .regex(/^[\x20-\x7e]+$/, { error: printableExpected });

const scopeExpected = `scopes separated by single spaces, of printable ASCII characters without " and \\, at most ${maxLength} in total`;
const scope = z
  .string({ error: scopeExpected })
  .max(maxLength, { error: scopeExpected })
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/, { error: scopeExpected });

const urlExpected = 'https://host[:port]/path of the token endpoint, without credentials and fragment';

export const oauthSchema = section(
  {
    token_url: z.string({ error: urlExpected }).max(2048, { error: urlExpected }),
    client_id: printable,
    client_secret: printable,
    auth_method: oneOf(['client_secret_basic', 'client_secret_post']).default('client_secret_basic'),
    scope: scope.optional(),
    audience: printable.optional(),
  },
  'a table { token_url = "https://…", client_id = "…", client_secret = "…" }',
);

export function readOAuth(oauth: z.output<typeof oauthSchema> | undefined, path: Path, reader: SectionReader): OAuthClient | undefined {
  if (oauth === undefined) return undefined;
  const { client_id: clientId, client_secret: clientSecret, auth_method: authMethod, scope, audience } = oauth;
  const tokenUrl = readTokenUrl(oauth.token_url, [...path, 'token_url'], reader);
  return { tokenUrl, clientId, clientSecret: new Secret(clientSecret), authMethod, scope, audience };
}

/** Empty if it has a mistake. The mistake quotes no URL with credentials. */
function readTokenUrl(text: string, path: Path, reader: SectionReader): string {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.username !== '' || url.password !== '')) {
    reader.mistake(path, { received: 'a URL with credentials', expected: urlExpected });
    return '';
  }
  if (url === undefined || url.hash !== '') {
    reader.mistake(path, { expected: urlExpected });
    return '';
  }
  if (url.protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) {
    reader.notice(path, 'sends the client secret without encryption: RFC 6749 requires https');
  }
  return url.href;
}

/** The encoded forms of the secret in a request for a token, which an answer may quote. */
export function encodedClientSecrets({ clientId, clientSecret }: OAuthClient): readonly Secret[] {
  const { encodedSecret, basic } = clientCredentials(clientId, clientSecret.reveal());
  return [new Secret(encodedSecret), new Secret(basic)];
}
