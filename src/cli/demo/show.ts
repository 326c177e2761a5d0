import { type Backend, decode, type Received } from './backend.ts';
import type { Chat, ChatServer } from './chat-server.ts';
import { conversation, describeLine, describeWay, duringTheOutage, type Line } from './conversation.ts';
import type { Pusher } from './pusher.ts';
import type { Scene } from './scene.ts';
import { until } from './until.ts';

/** All that runs on the stage. */
export interface Cast {
  readonly server: ChatServer;
  readonly pusher: Pusher;
  readonly backend: Backend;
}

const patienceMs = 20_000;

/** Logs the users in and lets them chat. */
export async function showChat({ server }: Cast, { page }: Scene): Promise<Chat> {
  page.heading('Chat', server.chatters);
  const chat = await server.openChat();
  for (const line of conversation) {
    await chat.say(line);
    page.row(describeWay(line), line.text);
  }
  return chat;
}

/** Shows what was said beside what the backend received. Throws when the two differ. */
export async function showDelivery({ backend }: Cast, scene: Scene): Promise<void> {
  const { page } = scene;
  page.heading('Delivered', 'what was said, the bytes the backend received for it, and what they say');
  await received(conversation.length, backend, scene);
  for (const [index, line] of conversation.entries()) {
    const request = backend.received[index];
    if (index > 0) page.gap();
    page.row('said', describeLine(line));
    if (request !== undefined) compare(line, request, scene);
  }
  page.gap();
  page.say(`${conversation.length} lines said, ${backend.received.length} requests received, all the same.`, 'good');
}

/** Lets the backend fail once, and shows that the request comes again. Throws when it does not. */
export async function showOutage(chat: Chat, { backend }: Cast, scene: Scene): Promise<void> {
  const { page } = scene;
  const before = backend.received.length;
  page.heading('Outage', 'the backend answers the next request with 503, once');
  backend.failOnce();
  await chat.say(duringTheOutage);
  page.row('said', describeLine(duringTheOutage));
  await received(before + 2, backend, scene);

  const [failed, repeated] = backend.received.slice(before);
  if (failed === undefined || repeated === undefined) return;
  const afterS = ((repeated.at - failed.at) / 1000).toFixed(1);
  page.row(`attempt ${failed.attempt}`, `answered ${failed.status}   webhook-id ${failed.webhookId}`, 'bad');
  page.row(`attempt ${repeated.attempt}`, `answered ${repeated.status}   webhook-id ${repeated.webhookId}   ${afterS} s later`, 'good');
  if (repeated.webhookId !== failed.webhookId) throw new Error('the second attempt bears another webhook-id than the first');
  compare(duringTheOutage, repeated, scene);
}

/** Shows what the service's own metrics say of all that. Throws when they say something else. */
export async function showMetrics({ backend, pusher }: Cast, scene: Scene): Promise<void> {
  const failed = backend.received.filter(({ status }) => status !== 200).length;
  const expected = [
    `mod_event_pusher_http_sent_total{host="localhost"} ${backend.received.length - failed}`,
    `mod_event_pusher_http_failed_total{host="localhost"} ${failed}`,
  ];
  scene.page.heading('Counted', 'two of the lines of /metrics');
  let lines: readonly string[] = [];
  const isCounted = async () => {
    lines = (await (await fetch(`${pusher.admin}/metrics`, { signal: scene.signal })).text()).split('\n');
    return expected.every((line) => lines.includes(line));
  };
  await until(isCounted, { problem: `/metrics does not say\n${expected.join('\n')}`, withinMs: patienceMs, ...scene });
  for (const line of expected) scene.page.say(line);
}

function received(count: number, backend: Backend, scene: Scene): Promise<void> {
  const problem = () => `the backend received ${backend.received.length} of ${count} requests`;
  return until(() => backend.received.length >= count, { problem, withinMs: patienceMs, ...scene });
}

function compare(line: Line, { form }: Received, { page }: Scene): void {
  const decoded = decode(form);
  const isSame = decoded.from === line.from && decoded.to === line.to && decoded.text === line.text;
  page.row('received', form);
  page.row('decoded', describeLine(decoded), isSame ? 'good' : 'bad');
  if (!isSame) throw new Error('the backend received something else than was said');
}
