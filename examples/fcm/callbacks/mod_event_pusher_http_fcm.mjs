// Notifications by Firebase Cloud Messaging, HTTP v1. On accept, a message becomes a notification for its receiver; at each attempt,
// the receiver's registration token and an access token are added, so that both are current and neither is stored.
import { readFile, stat } from 'node:fs/promises';
import { JWT } from 'google-auth-library';
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  defineCallbacks,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
  HTTP_INTERNAL_FAIL,
} from 'xmpp-event-pusher/callbacks';

// Statuses outside of HTTP; 590 to 599 are used by the service.
const NO_TOKEN = 1001;
const UNREGISTERED = 1002;

// FCM accepts messages of up to 4096 bytes; a character takes at most 4 as UTF-8.
const longestText = 500;

export default defineCallbacks({
  // Users without a token do not use the app: nothing is stored about them.
  async shouldMakeReq({ to, opts }) {
    return (await tokenOf(to.bare, opts.tokens)) !== undefined;
  },

  prepareHeaders: () => ({ 'content-type': 'application/json' }),

  prepareBody({ acc, from, to, message }) {
    const text = Array.from(message).slice(0, longestText).join('');
    const notification = { title: acc.sender ?? from.bare, body: text };
    return JSON.stringify({ receiver: to.bare, notification, data: { from: from.bare, stanzaId: acc.stanzaId ?? '' } });
  },

  async buildRequest({ request, message, opts }) {
    const { receiver, ...content } = JSON.parse(request.body);
    const token = await tokenOf(receiver, opts.tokens);
    if (token === undefined) {
      mark(message, NO_TOKEN, 'the receiver no longer has a registration token');
      return HTTP_INTERNAL_FAIL;
    }
    const { client, project } = await accountOf(opts.credentials);
    const { token: accessToken } = await client.getAccessToken();
    request.userdata = { receiver, token };
    request.path = `/v1/projects/${encodeURIComponent(project)}/messages:send`;
    request.headers.authorization = `Bearer ${accessToken}`;
    request.body = JSON.stringify({ message: { token, ...content, android: { priority: 'high' } } });
    return HTTP_INTERNAL_CONT;
  },

  handleResponse({ request, response, message, opts }) {
    const { receiver, token } = request.userdata;
    if (response.statusCode === 401) accounts.delete(opts.credentials); // the next attempt reads the key again and requests another token
    if (errorCodeIn(response) !== 'UNREGISTERED') return HTTP_INTERNAL_CONT; // the status is enough to classify it

    unregistered.add(token);
    console.error(`fcm: the app of ${receiver} is no longer registered: remove its token`);
    mark(message, UNREGISTERED, 'the app is no longer registered');
    return HTTP_INTERNAL_DONE;
  },

  // 429 and 5xx are retried on the schedule of the pool, and not before the time in `retry-after`.
  statusClassifier(status) {
    if (status === NO_TOKEN || status === UNREGISTERED) return DELIVERY_SUCCESS; // dropped: a retry would find no app either
    if (status >= 200 && status < 300) return DELIVERY_SUCCESS;
    return status === 400 || status === 403 ? DELIVERY_PERMFAILED : DELIVERY_TEMPFAILED;
  },
});

function mark({ context }, status, detail) {
  context.set(DLV_RESPONSE_STATUS, String(status));
  context.set(DLV_RESPONSE_STATUS_DETAIL, detail);
}

/** `UNREGISTERED`, `QUOTA_EXCEEDED`, …: the code of FCM in a response; undefined if it has none. */
function errorCodeIn({ statusCode, body }) {
  if (statusCode < 400) return undefined;
  try {
    const details = JSON.parse(body)?.error?.details;
    return Array.isArray(details) ? details.find((detail) => typeof detail?.errorCode === 'string')?.errorCode : undefined;
  } catch {
    return undefined; // a proxy may answer with a page
  }
}

/** Tokens that FCM has refused, until the file no longer has them or the service is restarted. */
const unregistered = new Set();

/** Replace this function with a query to the database in which your app's server keeps registration tokens. */
async function tokenOf(user, file) {
  const token = (await readTokens(file)).get(user);
  return token === undefined || unregistered.has(token) ? undefined : token;
}

let tokens = { file: '', changedAt: 0, byUser: new Map() };

async function readTokens(file) {
  const { mtimeMs: changedAt } = await stat(file);
  if (tokens.file !== file || tokens.changedAt !== changedAt) {
    const byUser = new Map(Object.entries(JSON.parse(await readFile(file, 'utf8'))));
    tokens = { file, changedAt, byUser };
    const current = new Set(byUser.values());
    for (const token of unregistered) if (!current.has(token)) unregistered.delete(token);
  }
  return tokens.byUser;
}

const accounts = new Map();

/** The client that requests access tokens for a service account, and renews them shortly before they expire. */
function accountOf(file) {
  if (!accounts.has(file)) {
    const opened = openAccount(file);
    accounts.set(file, opened);
    opened.catch(() => accounts.delete(file));
  }
  return accounts.get(file);
}

async function openAccount(file) {
  const { client_email: email, private_key: key, project_id: project, token_uri: tokenUri } = JSON.parse(await readFile(file, 'utf8'));
  const client = new JWT({ email, key, scopes: ['https://www.googleapis.com/auth/firebase.messaging'] });
  // The library always uses Google's address; the key file may name a proxy.
  const toTokenUri = async (config) => Object.assign(config, { url: new URL(tokenUri) });
  if (tokenUri !== undefined) client.transporter.interceptors.request.add({ resolved: toTokenUri });
  return { client, project };
}
