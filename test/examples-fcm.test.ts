/** The example that sends notifications by FCM, against a scripted token endpoint and a scripted FCM. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Callbacks } from '../pools/callbacks.ts';
import type { Judgement } from '../src/model/attempt.ts';
import { makeThreadSettings } from './support/make-job.ts';
import { serveHere } from './support/pool-thread.ts';
import { makeMessageJob } from './support/session-rig.ts';
import { type Answer, startTarget } from './support/target.ts';

const file = fileURLToPath(new URL('../examples/fcm/callbacks/mod_event_pusher_http_fcm.mjs', import.meta.url));
const { default: callbacks }: { readonly default: Required<Callbacks> } = await import(pathToFileURL(file).href);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = privateKey.export({ type: 'pkcs8', format: 'pem' });

/** The error of FCM, as https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode specifies it. */
const fcmError = (status: number, errorCode: string, headers: readonly [string, string][] = []): Answer => ({
  ...{ kind: 'answer', status, headers },
  body: JSON.stringify({
    error: { code: status, details: [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }] },
  }),
});

const accepted: Answer = { kind: 'answer', body: '{"name":"projects/chat-1/messages/1"}' };

async function startFcm(answers: readonly Answer[], tokens: Record<string, string> = { 'bob@localhost': 'device-1' }) {
  const folder = await mkdtemp(join(tmpdir(), 'fcm-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  let issued = 0;
  const google = await startTarget({
    script: () => ({
      ...{ kind: 'answer', headers: [['content-type', 'application/json']] },
      body: JSON.stringify({ access_token: `access-${++issued}`, expires_in: 3600, token_type: 'Bearer' }),
    }),
  });
  let answered = 0;
  const fcm = await startTarget({ script: () => answers[answered++] ?? accepted });
  onTestFinished(async () => {
    await google.stop();
    await fcm.stop();
  });
  const credentials = join(folder, 'service-account.json');
  const account = { client_email: 'pusher@chat-1.example', private_key: key, project_id: 'chat-1', token_uri: `${google.origin}/token` };
  await writeFile(credentials, JSON.stringify(account));
  const tokensFile = join(folder, 'tokens.json');
  await writeFile(tokensFile, JSON.stringify(tokens));
  const opts = { name: 'fcm', poolName: 'fcm', path: '', callbackModule: 'fcm', credentials, tokens: tokensFile };
  const handlers = [{ name: 'fcm', url: 'file:///fcm.mjs', opts }];
  const thread = serveHere(makeThreadSettings({ origin: fcm.origin, workers: 1, handlers }), async () => ({ default: callbacks }));
  onTestFinished(() => thread.stop());

  const content = { receiver: 'bob@localhost', notification: { title: 'alice@localhost', body: 'Hi' }, data: { from: 'alice@localhost' } };
  let jobs = 0;
  const push = async (): Promise<Judgement | undefined> => {
    const job = makeMessageJob({ key: ++jobs, body: JSON.stringify(content), message: { handler: 'fcm' } });
    const { judgement } = await thread.judge(job);
    thread.dispose(jobs, 'delivered');
    return judgement;
  };
  return { google, fcm, opts, thread, push, tokensFile };
}

test('a push carries an access token of the service account, which is requested once, and the token of the device', async () => {
  const { google, fcm, push, thread } = await startFcm([]);
  expect(await push()).toMatchObject({ verdict: 'success' });
  expect(await push()).toMatchObject({ verdict: 'success' });

  expect(google.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /token']);
  const form = new URLSearchParams(google.requests[0]?.body.toString());
  expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
  const claims = JSON.parse(Buffer.from(form.get('assertion')?.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ iss: 'pusher@chat-1.example', scope: 'https://www.googleapis.com/auth/firebase.messaging' });
  expect(fcm.requests.map(({ path }) => path)).toEqual(Array(2).fill('/v1/projects/chat-1/messages:send'));
  expect(fcm.requests[0]?.header('authorization')).toBe('Bearer access-1');
  expect(JSON.parse(fcm.requests[0]?.body.toString() ?? '')).toEqual({
    message: {
      token: 'device-1',
      notification: { title: 'alice@localhost', body: 'Hi' },
      data: { from: 'alice@localhost' },
      android: { priority: 'high' },
    },
  });
  expect(thread.failures).toEqual([]);
});

test('a push to an unregistered app is dropped, and its token is not used again until it is replaced', async () => {
  const { fcm, opts, push, tokensFile } = await startFcm([fcmError(404, 'UNREGISTERED')]);
  expect(await push()).toMatchObject({ verdict: 'success', status: 1002 });
  expect(await push()).toMatchObject({ verdict: 'success', status: 1001 });
  expect(fcm.requests).toHaveLength(1);
  const to = { bare: 'bob@localhost' };
  expect(await callbacks.shouldMakeReq({ to, opts } as never)).toBe(false);

  await writeFile(tokensFile, JSON.stringify({ 'bob@localhost': 'device-2 with a new token' }));
  expect(await callbacks.shouldMakeReq({ to, opts } as never)).toBe(true);
  expect(await push()).toMatchObject({ verdict: 'success', status: 200 });
});

test.each<[name: string, verdict: string, answer: Answer]>([
  ['429', 'tempfailed', fcmError(429, 'QUOTA_EXCEEDED', [['retry-after', '60']])],
  ['503', 'tempfailed', fcmError(503, 'UNAVAILABLE')],
  ['502 of a proxy', 'tempfailed', { kind: 'answer', status: 502, body: '<!DOCTYPE html>' }],
  ['404 of another kind', 'tempfailed', { kind: 'answer', status: 404, body: '{"error":{"details":"none"}}' }],
  ['400', 'permfailed', fcmError(400, 'INVALID_ARGUMENT')],
  ['403', 'permfailed', fcmError(403, 'SENDER_ID_MISMATCH')],
])('a %s is judged %s, without a failing callback', async (_, verdict, answer) => {
  const { push, thread } = await startFcm([answer]);
  expect(await push()).toMatchObject({ verdict });
  expect(thread.failures).toEqual([]);
});

test('a token endpoint that fails is a temporary failure, and FCM is not asked', async () => {
  const { google, fcm, push } = await startFcm([]);
  await google.stop();
  expect(await push()).toMatchObject({ status: 597 });
  expect(fcm.requests).toEqual([]);
});

test('after a 401 the next attempt requests another access token', async () => {
  const { fcm, push } = await startFcm([fcmError(401, 'THIRD_PARTY_AUTH_ERROR')]);
  expect(await push()).toMatchObject({ verdict: 'tempfailed' });
  expect(await push()).toMatchObject({ verdict: 'success' });
  expect(fcm.requests.map((request) => request.header('authorization'))).toEqual(['Bearer access-1', 'Bearer access-2']);
});

test('a message becomes a notification within the limit of FCM, without tokens', async () => {
  const { opts } = await startFcm([]);
  const from = { bare: 'alice@localhost' };
  const body = String(
    await callbacks.prepareBody({ acc: {}, from, to: { bare: 'bob@localhost' }, message: '\u{1F600}'.repeat(5000), opts } as never),
  );
  expect(Buffer.byteLength(body)).toBeLessThan(3000);
  expect(body).not.toContain('device-1');
  expect(await callbacks.shouldMakeReq({ to: { bare: 'carol@localhost' }, opts } as never)).toBe(false);
});
