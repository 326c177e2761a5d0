import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { load } from '../config/write-config.ts';

test('what the page on MongooseIM says to write is right: the one side posts where the other listens', async () => {
  const page = await readFile(new URL('../../plugins/mongooseim/README.md', import.meta.url), 'utf8');
  const [theirs = '', ours = '', ...rest] = [...page.matchAll(/```toml\n(.*?)```/gs)].map(([, text]) => text);
  expect(rest).toEqual([]);

  const mongooseim = await load(`[general]\nhosts = ["example.org"]\n${theirs}`); // MongooseIM's keys are ours too
  const pusher = await load(ours);
  expect(pusher.attachments).toMatchObject([
    { type: 'http', listen: { host: '127.0.0.1', port: 8080 }, path: '/', hosts: ['example.org'] },
  ]);
  expect(mongooseim.pools).toMatchObject([{ id: 'event_pusher', origin: 'http://127.0.0.1:8080' }]);
  expect(mongooseim.handlers).toMatchObject([{ pool: 'event_pusher', requestPath: '/', callbackModule: 'mod_event_pusher_http_defaults' }]);
});
