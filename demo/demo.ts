/**
 * A complete working example on this machine: a chat server, the service attached to it, two chatting users, and a backend
 * that shows its requests. All parts are real, listen only on the loopback interface, and are removed at the end.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEnvironment } from '../src/config/environment.ts';
import { systemClock } from '../src/kit/clock.ts';
import { toError } from '../src/kit/errors.ts';
import { packageVersion } from '../src/kit/process.ts';
import { type Backend, decode, type Received, startBackend } from './backend.ts';
import type { Chat, ChatServer } from './chat.ts';
import { conversation, describeLine, describeUsers, duringTheOutage, type Line } from './chat.ts';
import { openServer } from './open-server.ts';
import { createPage } from './page.ts';
import type { Pusher } from './pusher.ts';
import { startPusher } from './pusher.ts';
import type { Scene } from './scene.ts';
import { Cleanup, obeySignals, until } from './scene.ts';

export interface DemoOptions {
  /** End after the last step instead of running until Ctrl-C. */
  readonly once: boolean;
  /** Use the scripted server even if a chat server is available. */
  readonly scripted: boolean;
}

/** Resolves with the exit code after the cleanup: 0 if every step succeeded, 1 after a failure or an interruption of a step. */
export async function demo({ once, scripted }: DemoOptions): Promise<number> {
  const scene = await setScene();
  const { page, signal } = scene;
  let code = 0;
  try {
    page.heading(`xmpp-event-pusher ${packageVersion()}`, 'a chat server, the pusher and a backend, all on 127.0.0.1');
    const parts = await startParts({ scripted }, scene);
    const chat = await showChat(parts, scene);
    await showDelivery(parts, scene);
    await showOutage(chat, parts, scene);
    await showMetrics(parts, scene);
    if (!once) await keepRunning(parts, scene);
  } catch (thrown) {
    code = 1;
    page.heading(signal.aborted ? 'Interrupted' : 'Failed');
    page.say(toError(signal.aborted ? signal.reason : thrown).message, 'bad');
  }
  return (await cleanUp(scene)) ? code : 1;
}

async function setScene(): Promise<Scene> {
  const cleanup = new Cleanup();
  const signal = obeySignals();
  const folder = await mkdtemp(join(tmpdir(), 'event-pusher-demo-'));
  process.stdout.on('error', () => process.exit(1)); // the reader has gone, for example `head`
  const options = { recursive: true, force: true };
  cleanup.add(folder, { inOrder: () => rm(folder, options), atOnce: () => rmSync(folder, options) });
  return { page: createPage(process.stdout, readEnvironment()), cleanup, signal, clock: systemClock, folder };
}

async function startParts({ scripted }: { readonly scripted: boolean }, scene: Scene): Promise<Parts> {
  const { page } = scene;
  const server = await openServer({ scripted }, scene);
  const backend = await startBackend(scene);

  page.heading('Pusher');
  const pusher = await startPusher({ server, backend: backend.origin }, scene);
  page.row('configuration', pusher.configFile);
  page.row('attached', `to ${server.host} as the component ${server.component.domain}`);
  page.row('pushes', `chat messages to ${backend.origin}/webservice/notifications`);
  return { server, backend, pusher };
}

/** Whether the cleanup succeeded. */
async function cleanUp({ page, cleanup, folder }: Scene): Promise<boolean> {
  try {
    await cleanup.run();
    page.heading('Ended', `all started programs are stopped, ${folder} is removed`);
    return true;
  } catch (thrown) {
    page.heading('Left behind');
    page.say(toError(thrown).message, 'bad');
    return false;
  }
}

/** The running parts. */
interface Parts {
  readonly server: ChatServer;
  readonly pusher: Pusher;
  readonly backend: Backend;
}

const timeoutMs = 20_000;

/** Logs the users in and sends the conversation. */
async function showChat({ server }: Parts, { page }: Scene): Promise<Chat> {
  page.heading('Chat', server.chatters);
  const chat = await server.openChat();
  for (const line of conversation) {
    await chat.send(line);
    page.row(describeUsers(line), line.text);
  }
  return chat;
}

/** Shows each message with the request that the backend received. Throws if they differ. */
async function showDelivery({ backend }: Parts, scene: Scene): Promise<void> {
  const { page } = scene;
  page.heading('Delivered', 'each message, the request body for it, and the decoded body');
  await received(conversation.length, backend, scene);
  for (const [index, line] of conversation.entries()) {
    const request = backend.received[index];
    if (index > 0) page.gap();
    page.row('sent', describeLine(line));
    if (request !== undefined) compare(line, request, scene);
  }
  page.gap();
  page.say(`${conversation.length} messages sent, ${backend.received.length} requests received, all equal.`, 'good');
}

/** Makes the backend fail once and shows the retry. Throws if no retry comes. */
async function showOutage(chat: Chat, { backend }: Parts, scene: Scene): Promise<void> {
  const { page } = scene;
  const before = backend.received.length;
  page.heading('Outage', 'the backend answers only the next request with 503');
  backend.failOnce();
  await chat.send(duringTheOutage);
  page.row('sent', describeLine(duringTheOutage));
  await received(before + 2, backend, scene);

  const [failed, repeated] = backend.received.slice(before);
  if (failed === undefined || repeated === undefined) return;
  const afterS = ((repeated.at - failed.at) / 1000).toFixed(1);
  page.row(`attempt ${failed.attempt}`, `answered ${failed.status}   webhook-id ${failed.webhookId}`, 'bad');
  page.row(`attempt ${repeated.attempt}`, `answered ${repeated.status}   webhook-id ${repeated.webhookId}   ${afterS} s later`, 'good');
  if (repeated.webhookId !== failed.webhookId) throw new Error('the second attempt has another webhook-id than the first');
  compare(duringTheOutage, repeated, scene);
}

/** Shows the metrics of the service. Throws if they do not match the requests. */
async function showMetrics({ backend, pusher }: Parts, scene: Scene): Promise<void> {
  const failed = backend.received.filter(({ status }) => status !== 200).length;
  const expected = [
    `mod_event_pusher_http_sent_total{host="localhost"} ${backend.received.length - failed}`,
    `mod_event_pusher_http_failed_total{host="localhost"} ${failed}`,
  ];
  scene.page.heading('Counted', 'two lines of /metrics');
  let lines: readonly string[] = [];
  const isCounted = async () => {
    lines = (await (await fetch(`${pusher.admin}/metrics`, { signal: scene.signal })).text()).split('\n');
    return expected.every((line) => lines.includes(line));
  };
  await until(isCounted, { problem: `/metrics does not contain\n${expected.join('\n')}`, withinMs: timeoutMs, ...scene });
  for (const line of expected) scene.page.say(line);
}

function received(count: number, backend: Backend, scene: Scene): Promise<void> {
  const problem = () => `the backend received ${backend.received.length} of ${count} requests`;
  return until(() => backend.received.length >= count, { problem, withinMs: timeoutMs, ...scene });
}

function compare(line: Line, { form }: Received, { page }: Scene): void {
  const decoded = decode(form);
  const isSame = decoded.from === line.from && decoded.to === line.to && decoded.text === line.text;
  page.row('received', form);
  page.row('decoded', describeLine(decoded), isSame ? 'good' : 'bad');
  if (!isSame) throw new Error('the request differs from the message');
}

/** Shows the addresses and further requests until the demo is ended. Throws if a part fails. */
async function keepRunning({ server, backend, pusher }: Parts, scene: Scene): Promise<void> {
  const { page, signal } = scene;
  page.heading('Addresses', 'the demo runs until Ctrl-C; further requests are shown below');
  page.row('dashboard', `${pusher.admin}/`);
  page.row('metrics', `${pusher.admin}/metrics`);
  page.row('health', `${pusher.admin}/readyz and ${pusher.admin}/healthz`);
  page.row('configuration', pusher.configFile);
  page.row('log', pusher.logFile);
  if (server.invitation !== undefined) page.row('join in', server.invitation);
  backend.onReceived = (request) => showRequest(request, scene);

  const isOver = () => {
    server.assertRunning();
    pusher.assertRunning();
    return signal.aborted;
  };
  // Ctrl-C ends this step without an error: `isOver` reads the signal, and `until` gets another that is never aborted.
  await until(isOver, { problem: '', withinMs: Number.POSITIVE_INFINITY, ...scene, signal: new AbortController().signal });
}

function showRequest({ attempt, form, status }: Received, { page }: Scene): void {
  page.gap();
  page.row(`attempt ${attempt}`, `answered ${status}`, status === 200 ? 'good' : 'bad');
  page.row('received', form);
  page.row('decoded', describeLine(decode(form)));
}
