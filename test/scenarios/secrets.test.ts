// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the configuration look like templates
/** The built service and command line, with a secret in each text value of the configuration. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { runCli } from '../support/run-cli.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, freePort, startTarget } from '../support/target.ts';

/** Each secret contains this text; its quote, space and letter are escaped differently in JSON, URLs and headers. */
const mark = 'CANARY';
const signingKey = (id: string): string => `whsec_${mark}signing${id}`.padEnd('whsec_'.length + 32, '0');
const env = {
  ADMIN: `${mark}-admin-0`,
  CLIENT_SECRET: `${mark}-client-20`,
  COMPONENT: `${mark}-component-1`,
  METRICS: `${mark}-metrics-2`,
  OPTION: `${mark} "option" 3`,
  PATH_PART: `${mark}-path-4`,
  PREFIX: `${mark}-prefix-5`,
  POOL_HEADER: `${mark}-header-13`,
  POOL_PASSWORD: `${mark}-password-14`,
  SHOP: `${mark}-shop-7`,
  SIGNING_KEY: signingKey('16'),
};
const files = {
  option: `${mark}-file-8`,
  hook: `${mark}-hook-9\n`,
  signing: `${signingKey('17')}\n`,
  'own.mjs': `
    export const shouldMakeReq = () => true;
    export const prepareHeaders = ({ opts }) => [
      ['x-team', opts.fromEnv],
      ['x-shared', 'Bearer ' + opts.deep[0].fromFile],
      ['authorization', 'Basic ' + opts.literal.api_key],
    ];
    export const prepareBody = ({ message, opts }) => {
      const failure = new Error('cannot send with ' + JSON.stringify(opts));
      if (message === 'throw') throw failure;
      if (message === 'stray') void Promise.reject(failure);
      if (message === 'crash') setTimeout(() => { throw failure; });
      return message === 'bytes' ? new TextEncoder().encode(opts.deep[0].fromFile) : JSON.stringify(opts);
    };
    export function buildRequest(session) {
      session.request.path += '?key=' + encodeURIComponent(session.opts?.fromEnv ?? '');
      return 0;
    }`,
};

const handlers = `
[[modules.mod_event_pusher.backend.http]]
name = "own"
path = "/n/\${PATH_PART}/\${file:hook}"
callback_module = "own"
sign.keys = ["${signingKey('18')}"]
options = { fromEnv = "\${OPTION}", deep = [{ fromFile = "\${file:option}" }], literal = { api_key = "${mark}-literal-10" } }
[attach.front]
type = "http"
listen = "127.0.0.1:0"
users = { shop = "\${SHOP}", desk = "${mark}-literal-11" }
[[attach.front.descriptors]]
name = "FORM"
path = "/form"
tac = "PUSH"
http_exit = "*SYSTEM"
user_auth = "*BASIC"
[metrics]
token = "\${METRICS}"
[gate]
listen = "127.0.0.1:0"
token = "${mark}-literal-12"
`;

const basic = 'basic = { username = "pusher", password = "${POOL_PASSWORD}" }';
const poolSecrets = (auth: string): string => `workers = 20
headers = { x-key = "\${POOL_HEADER}", x-literal = "${mark}-literal-15" }
sign.keys = ["\${SIGNING_KEY}", "\${file:signing}"]
auth.${auth}`;
const credentials = Buffer.from(`pusher:${env.POOL_PASSWORD}`).toString('base64');

async function startWithSecrets(auth = basic) {
  const chat = await startScriptedChat({ secret: env.COMPONENT });
  const listen = `127.0.0.1:${await freePort()}`;
  const echo = ({ path, body, headers }: Pick<TargetRequest, 'body' | 'headers' | 'path'>): Answer => ({
    kind: 'answer',
    status: 422,
    body: `no: ${path} ${JSON.stringify(headers)} ${body.toString()}`,
  });
  const rig = await startPushRig(chat.server.port, {
    ...{ handlers, files, listen, env, secret: '${COMPONENT}', script: echo, started: false },
  });
  const file = join(rig.pusher.folder, 'event-pusher.toml');
  const written = await readFile(file, 'utf8');
  await writeFile(
    file,
    written
      .replace('/webservice', '/${PREFIX}')
      .replace('[admin]', '[admin]\ntoken = "${ADMIN}"')
      .replace('workers = 20', poolSecrets(auth)),
  );
  await rig.pusher.start();
  return {
    ...{ chat, rig, listen },
    run: (...args: readonly string[]) => runCli([...args, '--config', file], env),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await chat[Symbol.asyncDispose]();
    },
  };
}

test('the service and its commands print no secret of any configuration key', async () => {
  await using service = await startWithSecrets();
  const { chat, rig, run, listen } = service;
  for (const body of ['refused', 'bytes', 'throw']) chat.say(body);
  const list = async () => JSON.parse((await run('dead-letters', 'list', '--json')).stdout);
  await eventually(async () => expect(await list()).toHaveLength(3));
  expect(rig.backend.requests[0]?.path).toContain(env.PREFIX);
  expect(rig.backend.requests[0]?.header('x-shared')).toContain(files.option);
  expect(rig.backend.requests[0]?.header('x-key')).toBe(env.POOL_HEADER);
  expect(rig.backend.requests[0]?.header('webhook-signature')).toMatch(/^v1,\S+$/);
  expect(await readFile(`/proc/${rig.pusher.pid}/cmdline`, 'utf8')).not.toContain(mark);

  const letters: readonly { readonly id: string }[] = await list();
  const shown = await Promise.all([
    ...letters.flatMap(({ id }) => [run('dead-letters', 'show', id, '--content'), run('dead-letters', 'show', id, '--json')]),
    ...[run('dead-letters', 'list'), run('pools', 'list'), run('pools', 'list', '--json'), run('orphans', 'list'), run('spool', 'info')],
    ...[run('send-test', 'own'), run('send-test', 'own', '--json'), run('send-test', 'nobody'), run('check'), run('check', '--json')],
  ]);
  for (const { stdout, stderr } of shown) expect(stdout + stderr).not.toContain(mark);
  const tests = rig.backend.requests.filter(({ header }) => header('event-pusher-test') !== undefined);
  expect([rig.backend.requests[0], ...tests].map((request) => request?.header('authorization'))).toEqual(
    Array(3).fill(`Basic ${credentials}`),
  );
  expect(JSON.stringify(shown)).not.toContain(credentials);
  expect(shown[0]?.stdout).toContain('[redacted]');

  const ask = async (path: string, token: string) =>
    (await fetch(`http://${listen}${path}`, { headers: { authorization: `Bearer ${token}` } })).text();
  const letter = `/api/v1/dead-letters/${letters[1]?.id}?content=true`;
  for (const path of [
    letter,
    '/api/v1/dead-letters',
    '/api/v1/withheld',
    '/readyz',
    '/api/v1/nothing',
    '/api/v1/pools',
    '/api/v1/status',
    '/api/v1/events',
  ]) {
    expect(await ask(path, env.ADMIN), path).not.toContain(mark);
  }
  const { body } = JSON.parse(await ask(letter, env.ADMIN));
  expect(Buffer.from(body.data, body.encoding === 'base64' ? 'base64' : 'utf8').toString()).not.toContain(mark);
  expect(await ask('/metrics', env.METRICS)).not.toContain(mark);

  chat.say('stray');
  await rig.pusher.logged('rejection.stray', 1);
  chat.say('crash');
  await rig.pusher.logged('service.failed', 1);
  expect(JSON.stringify(rig.pusher.log) + rig.pusher.stderr()).not.toContain(mark);
});

test('a secret replaced by a reload and an access token stay hidden', async () => {
  const token = `${mark}-token-19`;
  const answer = JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 600 });
  await using endpoint = await startTarget({ script: () => ({ kind: 'answer', body: answer }) });
  const client = `token_url = "${endpoint.origin}/token", client_id = "pusher", client_secret = "\${CLIENT_SECRET}"`;
  await using service = await startWithSecrets(`oauth2 = { ${client} }`);
  const { chat, rig, run } = service;
  chat.say('refused');
  const list = async () => JSON.parse((await run('dead-letters', 'list', '--json')).stdout);
  await eventually(async () => expect(await list()).toHaveLength(1));
  const file = join(rig.pusher.folder, 'event-pusher.toml');
  const written = await readFile(file, 'utf8');
  await writeFile(file, written.replace('/n/${PATH_PART}', '/n/elsewhere'));
  rig.pusher.signal('SIGHUP');
  await rig.pusher.said((line) => line.event === 'config.reload' && line['result'] === 'applied');
  const [{ id }] = await list();
  expect((await run('dead-letters', 'show', id)).stdout).toContain('/n/[redacted]/');

  expect(rig.backend.requests[0]?.header('authorization')).toBe(`Bearer ${token}`);
  const credentials = endpoint.requests[0]?.header('authorization')?.slice('Basic '.length) ?? '';
  expect(Buffer.from(credentials, 'base64').toString()).toBe(`pusher:${env.CLIENT_SECRET}`);
  const shown = await Promise.all([run('dead-letters', 'show', id, '--json'), run('check')]);
  expect(shown[0].stdout).toContain('Bearer [redacted]');
  expect(JSON.stringify([shown, rig.pusher.log]) + rig.pusher.stderr()).not.toMatch(new RegExp(`${mark}|${credentials}`));
});
