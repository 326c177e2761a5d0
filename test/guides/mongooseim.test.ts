/** docs/guides/mongooseim.md, followed with `curl` in place of MongooseIM. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { load } from '../config/write-config.ts';
import { eventually } from '../support/eventually.ts';
import { createShownPusher, readGuide, startShownBackend } from '../support/guide.ts';
import { freePort } from '../support/target.ts';

const guide = readGuide('mongooseim');

test('the pool of MongooseIM has the address of the attachment', async () => {
  const mongooseim = await load(`[general]\nhosts = ["example.org"]\n${guide.block('toml', 'handlers')}`); // its keys are ours too
  const pusher = await load(guide.block('toml', '[attach.chat]'));

  expect(pusher.attachments).toMatchObject([
    { type: 'http', listen: { host: '127.0.0.1', port: 8080 }, path: '/', hosts: ['example.org'] },
  ]);
  expect(mongooseim.pools).toMatchObject([{ id: 'event_pusher', origin: 'http://127.0.0.1:8080' }]);
  expect(mongooseim.handlers).toMatchObject([{ pool: 'event_pusher', requestPath: '/', callbackModule: 'mod_event_pusher_http_defaults' }]);
});

test('the page delivers its message to its backend, and lists the answers to wrong requests', async () => {
  const listen = `${await freePort()}`;
  await using backend = await startShownBackend(guide);
  await using pusher = await createShownPusher(guide, { replace: { 8080: listen, 8000: `${backend.port}` }, env: {} });
  await pusher.start();
  await using second = await createShownPusher(guide, { replace: { 8080: listen }, env: {} });
  second.launch();

  /** Runs the command of the page, with a part of it replaced. */
  async function post(from: string | RegExp = '', to = ''): Promise<string> {
    const command = guide.block('sh', 'curl').replace('8080', listen).replace(from, to).trim();
    const { stdout } = await promisify(execFile)('sh', ['-c', `${command} -s -w '%{http_code}'`]);
    return stdout.replace(/^(.*)(\d{3})$/s, '$2 $1').trim();
  }

  expect(await post()).toBeOneOf(['200', '503 accepted but not committed within 50 ms; it may still be pushed once']); // on a busy disk
  await eventually(() => expect(backend.logs()).toBe(guide.block('', 'author=')));
  const known = guide.rows('the answer').map(([answer]) => answer);
  for (const [from, to] of [
    ['example.org', 'chat.example.org'],
    [/&message=[^']*/, ''],
    [/\/$/m, '/events'],
  ] as const)
    expect(known).toContain(await post(from, to));
  expect(await second.ended()).toBe(1);
  expect(guide.rows('the service says').map(([text]) => text)).toContain(second.stderr().trim().replaceAll(listen, '8080'));
});
