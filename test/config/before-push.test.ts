import { expect, test } from 'vitest';
import type { BeforePushConfig } from '../../src/config/config.ts';
import { attachment, load, mistakeLines, pool } from './write-config.ts';

const question = 'command=callbackBeforePushCommand&contenttype=json';
const at = 'modules.mod_event_pusher.backend.http';

/** A pool of a business server, and a handler that asks it. */
const asking = (lines: string, origin = 'https://callbackurl'): string => `
[outgoing_pools.http.business.connection]
host = "${origin}"
${pool}
[modules.mod_event_pusher.backend.http]
name = "push"
[modules.mod_event_pusher.backend.http.before_push]
${lines}
`;

async function beforePushOf(text: string): Promise<BeforePushConfig | undefined> {
  return (await load(text)).handlers[0]?.beforePush;
}

test('the question has OpenIM’s defaults', async () => {
  expect(await beforePushOf(asking('pool_name = "business"'))).toEqual({
    ...{
      queue: 'push:ask',
      pool: 'business',
      path: '',
      requestPath: `/?${question}`,
      timeoutMs: 5000,
      form: 'openim-2',
      onFailure: 'continue',
    },
  });
});

test('without pool_name the question uses the pool of the handler', async () => {
  expect(await beforePushOf(asking('path = "/im"'))).toMatchObject({ pool: 'http_pool', requestPath: `/im?${question}` });
});

test('a path may have a query', async () => {
  expect(await beforePushOf(asking('path = "/im?app=1"'))).toMatchObject({ requestPath: `/im?app=1&${question}` });
});

test('the command of OpenIM 3 is added to the path by each question', async () => {
  expect(await beforePushOf(asking('path = "/im?app=1"\nform = "openim-3"'))).toMatchObject({ requestPath: '/im?app=1', form: 'openim-3' });
});

test('timeout and on_failure are read', async () => {
  expect(await beforePushOf(asking('timeout = "2s"\non_failure = "refuse"'))).toMatchObject({ timeoutMs: 2000, onFailure: 'refuse' });
});

test.each([['enabled = false'], ['enabled = false\npool_name = "gone"']])(
  'no question is asked if the option is off (%j)',
  async (lines) => {
    expect(await beforePushOf(asking(lines))).toBeUndefined();
  },
);

test('a handler whose hosts have different business servers becomes one handler per server', async () => {
  const scoped = `
[general]
hosts = ["a.example", "b.example"]
${pool}
[outgoing_pools.http.business]
scope = "host"
[outgoing_pools.http.business.connection]
host = "https://callbackurl"
[modules.mod_event_pusher.backend.http]
name = "push"
before_push = { pool_name = "business" }
`;
  const { handlers } = await load(scoped);
  expect(handlers.map(({ name, hosts, pool, beforePush }) => [name, ...hosts, pool, beforePush?.pool, beforePush?.queue])).toEqual([
    ['push@a.example', 'a.example', 'http_pool', 'business@a.example', 'push@a.example:ask'],
    ['push@b.example', 'b.example', 'http_pool', 'business@b.example', 'push@b.example:ask'],
  ]);
});

test.each([
  [
    'pool_name = "busines"',
    `${at}.before_push.pool_name: received "busines", expected one of business, http_pool (the pools in outgoing_pools.http) (did you mean "business"?)`,
  ],
  ['path = "/ä"', `${at}.before_push.path: received "/ä", expected a URL path; characters outside ASCII must be percent-encoded`],
  ['on_failure = "refuze"', `${at}.before_push.on_failure: received "refuze", expected one of continue, refuse (did you mean "refuse"?)`],
  ['form = "openim3"', `${at}.before_push.form: received "openim3", expected one of openim-2, openim-3 (did you mean "openim-3"?)`],
  ['timeout = 0', `${at}.before_push.timeout: received 0, expected a duration of 1 ms or more`],
  [
    'onfailure = "refuse"',
    `${at}.before_push.onfailure: received an unknown key, expected one of enabled, pool_name, path, form, timeout, on_failure (did you mean "on_failure"?)`,
  ],
])('%j is refused', async (lines, line) => {
  expect(await mistakeLines(`${attachment}${asking(lines)}`)).toEqual([line]);
});

test.each([
  ['http://business.example:8080', 1],
  ['http://10.0.0.1', 1],
  ['http://127.0.0.1:8080', 0],
  ['http://[::1]', 0],
  ['http://localhost', 0],
  ['https://business.example', 0],
])('%s gives %i warnings about unencrypted questions', async (origin, warnings) => {
  const { notices } = await load(asking('pool_name = "business"', origin));
  expect(notices.filter((notice) => notice.includes('is asked over http'))).toHaveLength(warnings);
});
