import { expect, test } from 'vitest';
import { attachment, listener, load, pool } from './write-config.ts';

const handler = (when: string) => `[[modules.mod_event_pusher.http.handlers]]\nname = "watch"\nwhen = { ${when} }\n`;
const serviceLog = `${attachment}feed = "service_log"\n`;

test.each([
  ['status and unack', 'event = ["chat", "status", "unack"]', serviceLog],
  ['status', 'kind = "status"', serviceLog],
  ['unack', 'event = "unack"', listener],
])('who waits for %s where no tap tells it is told so', async (waitedFor, when, attached) => {
  const { notices } = await load(`${pool}${attached}${handler(when)}`);
  expect(notices).toEqual([`handler watch waits for ${waitedFor}: only a tap tells that, and its hosts are attached without one`]);
});

test.each([
  ['a tap', 'event = ["status", "unack"]', attachment],
  ['other events', 'event = ["chat", "offline"], kind = "message"', serviceLog],
])('with %s there is nothing to tell', async (_what, when, attached) => {
  expect((await load(`${pool}${attached}${handler(when)}`)).notices).toEqual([]);
});
