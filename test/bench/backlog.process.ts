/** Fills a spool with waiting deliveries, in a separate process. */
import { createSqliteSpool } from '../../dist/src/spool/open.js';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeConfig, makeDelivery, makeEntry } from '../spool/build.ts';
import { appendTo } from '../support/spool-promises.ts';

const [path = '', count = '0'] = process.argv.slice(2);
const conversations = 2000;
const atOnce = 5000;
const body = `author=user1&server=localhost&receiver=peer1&message=${'some words, as people write them. '.repeat(3)}`;

const spool = createSqliteSpool(makeConfig(path, { maxBytes: 1024 ** 4 }), {
  clock: systemClock,
  events: createEventBus(),
  timers: systemTimers,
  onFailed: (error: Error) => {
    throw error;
  },
});
await spool.start();
for (let made = 0; made < Number(count); made += atOnce) {
  const next = Array.from({ length: Math.min(atOnce, Number(count) - made) }, (_nothing, index) => delivery(made + index));
  await Promise.all(next.map((one) => appendTo(spool, makeEntry([one]))));
}
const { bytes } = spool.stats();
await spool.stop();
process.send?.(bytes);

/** The conversations of the end-to-end benchmark, each with the same number of waiting deliveries. */
function delivery(index: number): NewDelivery {
  const user = index % conversations;
  return makeDelivery({
    id: `01a2019b-5df8-7001-9297-${String(index).padStart(12, '0')}`,
    pool: 'http_pool',
    handler: 'push',
    lane: `push user${user}@localhost peer${user}@localhost`,
    target: { kind: 'http', method: 'POST', path: '/webservice/notifications', headers: [] },
    body,
    createdAt: systemClock.now(),
  });
}
