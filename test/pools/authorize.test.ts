import { describe, expect, test } from 'vitest';
import { HTTP_INTERNAL_CONT, type Session } from '../../pools/callbacks.ts';
import type { TokenClient } from '../../pools/contract.ts';
import { TOKEN_UNAVAILABLE } from '../../src/model/attempt.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { oauthClient, postingClient, startOAuthServer } from '../support/oauth-server.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import { type Answer, startTarget } from '../support/target.ts';

const client: TokenClient = { ...oauthClient, tokenUrl: '', scope: 'events:write', audience: undefined };
const bearer = (value: string | undefined): string => /^Bearer (\S+)$/.exec(value ?? '')?.[1] ?? '';

describe.each(['undici', 'got'] as const)('through %s', (http) => {
  test('requests have a token that an OAuth server has issued once for all of them', async () => {
    await using server = await startOAuthServer();
    await using target = await startTarget();
    const tokens = { ...client, tokenUrl: server.tokenUrl };
    await using thread = serveHere(makeThreadSettings({ client: http, origin: target.origin, tokens }));
    const jobs = [1, 2, 3, 4].map((key) => makeJob({ key, headers: [['Authorization', 'Basic of-callback']] }));
    const outcomes = await thread.deliverAll(jobs);

    expect(outcomes.map((outcome) => outcome.kind)).toEqual(Array(4).fill('answered'));
    const used = new Set(target.requests.map((request) => bearer(request.header('authorization'))));
    expect([used.size, server.issued()]).toEqual([1, 1]);
    expect(await server.scopeOf([...used][0] ?? '')).toBe('events:write');
    expect(target.requests.flatMap(({ headers }) => headers.filter(([name]) => /^authorization$/i.test(name)))).toHaveLength(4);
  });

  test('after a 401 the attempt fails as usual, and the next one has a new token; the excerpt has none', async () => {
    await using server = await startOAuthServer();
    const echo = (value: string | undefined, status: number): Answer => ({ kind: 'answer', status, body: `got ${value}` });
    let count = 0;
    await using target = await startTarget({ script: (request) => echo(request.header('authorization'), ++count === 1 ? 401 : 200) });
    const tokens = { ...client, tokenUrl: server.tokenUrl };
    await using thread = serveHere(makeThreadSettings({ client: http, origin: target.origin, tokens }));

    const outcomes = [
      await thread.deliver(makeJob()),
      await thread.deliver(makeJob({ key: 2 })),
      await thread.deliver(makeJob({ key: 3 })),
    ];
    expect(outcomes).toMatchObject([401, 200, 200].map((status) => ({ kind: 'answered', status, excerpt: 'got Bearer [redacted]' })));
    const [first, second, third] = target.requests.map((request) => request.header('authorization'));
    expect(second).not.toBe(first);
    expect([third, server.issued()]).toEqual([second, 2]);
  });

  test('the request that a callback at delivery has built gets the token', async () => {
    await using server = await startOAuthServer();
    await using target = await startTarget();
    const buildRequest = (session: Session): typeof HTTP_INTERNAL_CONT => {
      session.request.headers['authorization'] = 'Basic of-module';
      return HTTP_INTERNAL_CONT;
    };
    const settings = { tokens: { ...client, tokenUrl: server.tokenUrl } };
    await using thread = serveSessions({ buildRequest }, { client: http, origin: target.origin, settings });
    await thread.judge(makeMessageJob());
    expect(await server.scopeOf(bearer(target.requests[0]?.header('authorization')))).toBe('events:write');
  });
});

test('a client that sends its secret in the body gets a token, and sends no Basic credentials', async () => {
  await using server = await startOAuthServer();
  await using target = await startTarget();
  const tokens = { ...client, ...postingClient, tokenUrl: server.tokenUrl };
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, tokens }));
  expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
  expect(await server.scopeOf(bearer(target.requests[0]?.header('authorization')))).toBe('events:write');

  const { asked } = await deliverWith(json(good), {}, postingClient);
  expect(asked[0]?.header('authorization')).toBeUndefined();
  expect(Object.fromEntries(new URLSearchParams(asked[0]?.body.toString()))).toMatchObject({
    client_id: 'pusher: 2',
    client_secret: 's&cret + 100%',
  });
});

test('a body that is read has no token, and each answer of the server is reported', async () => {
  await using server = await startOAuthServer();
  await using target = await startTarget({
    script: (request) => ({ kind: 'answer', body: `{"got":"${request.header('authorization')}"}` }),
  });
  const tokens = { ...client, tokenUrl: server.tokenUrl };
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, tokens }));
  const outcome = await thread.deliver(makeJob({ wantsBody: true }));
  expect(outcome).toMatchObject({ kind: 'answered', body: '{"got":"Bearer [redacted]"}' });
  expect(thread.tokens).toEqual([{ lifetimeMs: 600_000, reason: '' }]);
});

test('wrong credentials fail the attempt with the name of the endpoint and the code of the server, without the secret', async () => {
  await using server = await startOAuthServer();
  await using target = await startTarget();
  const tokens = { ...client, tokenUrl: server.tokenUrl, clientSecret: 'wr0ng-secret' };
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, tokens }));
  const outcome = await thread.deliver(makeJob());
  const message = `no access token from ${server.tokenUrl}: status 401 (invalid_client)`;
  expect(outcome).toMatchObject({ kind: 'unreachable', code: TOKEN_UNAVAILABLE, message });
  expect(target.requests).toHaveLength(0);
  expect(thread.tokens).toEqual([{ lifetimeMs: 0, reason: message }]);
});

const json = (value: unknown): Answer => ({ kind: 'answer', body: JSON.stringify(value) });
const good = { access_token: 'abc', token_type: 'bearer', expires_in: 60 };

async function deliverWith(
  answer: Answer,
  settings: Partial<Parameters<typeof makeThreadSettings>[0]> = {},
  who: Partial<TokenClient> = {},
) {
  await using endpoint = await startTarget({ script: () => answer });
  await using target = await startTarget();
  const tokens = { ...client, ...who, audience: 'https://api', tokenUrl: `${endpoint.origin}/oauth/token?tenant=7` };
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, tokens, ...settings }));
  const outcomes = await thread.deliverAll([makeJob(), makeJob({ key: 2 })]);
  return { outcomes, requests: target.requests, asked: endpoint.requests, url: `${endpoint.origin}/oauth/token` };
}

test('the request for a token is as RFC 6749 specifies, with the scope and the audience', async () => {
  const { asked } = await deliverWith(json(good));
  const [request] = asked;
  expect(asked).toHaveLength(1);
  expect([request?.method, request?.path]).toEqual(['POST', '/oauth/token?tenant=7']);
  expect(request?.header('content-type')).toBe('application/x-www-form-urlencoded');
  expect(request?.body.toString()).toBe('grant_type=client_credentials&scope=events%3Awrite&audience=https%3A%2F%2Fapi');
  const credentials = Buffer.from(request?.header('authorization')?.replace('Basic ', '') ?? '', 'base64').toString();
  expect(credentials).toBe('pusher%3A+1:s%26cret+%2B+100%25');
});

test.each<readonly [string, unknown]>([
  ['no lifetime', { access_token: 'abc', token_type: 'Bearer' }],
  ['a lifetime as text', { ...good, expires_in: '3600' }],
  ['a long lifetime', { ...good, expires_in: 1e300 }],
  ['more members', { ...good, scope: 7, extra: [[1]] }],
])('an answer with %s is accepted', async (_what, value) => {
  const { requests } = await deliverWith(json(value));
  expect(requests.map((request) => request.header('authorization'))).toEqual(['Bearer abc', 'Bearer abc']);
});

test.each<readonly [string, Answer, string | RegExp]>([
  ['is no JSON', { kind: 'answer', body: 'hello' }, 'its answer is not a JSON object'],
  ['is an array', json([good]), 'its answer is not a JSON object'],
  ['is deep', { kind: 'answer', body: '['.repeat(60_000) }, 'its answer is nested too deeply'],
  ['has no token', json({ ...good, access_token: undefined }), /^access_token is not a text/],
  ['has a token with a line break', json({ ...good, access_token: 'a\r\nx: y' }), /^access_token is not a text/],
  ['has a long token', json({ ...good, access_token: 'a'.repeat(16_385) }), /^access_token is not a text/],
  ['has a token of another type', json({ ...good, token_type: 'mac' }), 'token_type is not Bearer'],
  ['has a wrong lifetime', json({ ...good, expires_in: -1 }), 'expires_in is not a positive number of seconds'],
  ['has a lifetime of another kind', json({ ...good, expires_in: [60] }), 'expires_in is not a positive number of seconds'],
  ['is endless', { kind: 'endless-body' }, 'its answer has more than 65536 bytes'],
  ['is an error', { kind: 'answer', status: 400, body: '{"error":"invalid_scope"}' }, 'status 400 (invalid_scope)'],
  ['is an error with a hostile code', { kind: 'answer', status: 400, body: '{"error":"a\\u001b[31m"}' }, 'status 400'],
  [
    'is a redirect',
    { kind: 'answer', status: 302, headers: [['location', 'http://127.0.0.1:1/']] },
    'status 302; redirects are not followed',
  ],
  ['is another success', { kind: 'answer', status: 201, body: JSON.stringify(good) }, 'status 201'],
  ['is no HTTP', { kind: 'garbage' }, /HPE_|ERR_|Parse Error/],
])('an answer that %s fails every attempt that waits, after one request', async (_what, answer, reason) => {
  const { outcomes, requests, asked, url } = await deliverWith(answer);
  const messages = outcomes.map((outcome) => (outcome.kind === 'unreachable' && outcome.code === TOKEN_UNAVAILABLE ? outcome.message : ''));
  const start = `no access token from ${url}: `;
  expect(messages.map((message) => message.slice(0, start.length))).toEqual([start, start]);
  for (const message of messages) expect(message.slice(start.length)).toMatch(reason);
  expect([asked.length, requests.length]).toEqual([1, 0]);
});

test.each<readonly [string, Answer]>([
  ['no answer', { kind: 'silent' }],
  ['an answer that never ends', { kind: 'slow-body', chunks: ['{'], gapMs: Number.POSITIVE_INFINITY }],
])('%s ends the attempt with the reason of the endpoint, before its own limit', async (_what, answer) => {
  const { outcomes, asked } = await deliverWith(answer, { requestTimeoutMs: 1000, callTimeoutMs: 5000 });
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({
      kind: 'unreachable',
      code: TOKEN_UNAVAILABLE,
      message: expect.stringMatching(/: timed out \((call|headers|body)\)/),
    });
  }
  expect(asked).toHaveLength(1);
});

test.each([
  ['http://169.254.169.254/token', '169.254.169.254 is an address that no request may be ordered to'],
  ['http://metadata.google.internal/token', 'metadata.google.internal is a name that no request may be ordered to'],
  ['http://tokens.example/token', 'tokens.example resolves to an address that is refused'],
])('the endpoint %s is never dialled', async (tokenUrl, reason) => {
  await using target = await startTarget();
  const settings = makeThreadSettings({ origin: target.origin, tokens: { ...client, tokenUrl } });
  await using thread = serveHere(settings, undefined, (_name, _options, found) => found(null, [{ address: '169.254.169.254', family: 4 }]));
  const outcome = await thread.deliver(makeJob());
  expect(outcome).toMatchObject({ kind: 'unreachable', code: TOKEN_UNAVAILABLE, message: expect.stringContaining(reason) });
});
