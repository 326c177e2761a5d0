/**
 * A whole working example on this machine: a chat server, the service attached to it, two users who chat, and a backend
 * that shows what it received. Everything is real, listens on loopback alone, and is gone afterwards.
 */

import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEnvironment } from '../config/environment.ts';
import { systemClock } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { packageVersion } from '../kit/process.ts';
import { startBackend } from './demo/backend.ts';
import { createCleanup } from './demo/cleanup.ts';
import { keepRunning } from './demo/keep-running.ts';
import { openServer } from './demo/open-server.ts';
import { createPage } from './demo/page.ts';
import { startPusher } from './demo/pusher.ts';
import type { Scene } from './demo/scene.ts';
import { type Cast, showChat, showDelivery, showMetrics, showOutage } from './demo/show.ts';
import { obeySignals } from './demo/signals.ts';

export interface DemoOptions {
  /** End after the show instead of going on until Ctrl-C. */
  readonly once: boolean;
  /** Do without a chat server even where one can be had. */
  readonly scripted: boolean;
}

/** Resolves with the exit code when everything is undone: 0 when all was shown, 1 when something failed or was broken off. */
export async function demo({ once, scripted }: DemoOptions): Promise<number> {
  const scene = await setScene();
  const { page, signal } = scene;
  let code = 0;
  try {
    page.heading(`xmpp-event-pusher ${packageVersion()}`, 'a chat server, the pusher and a backend, all on 127.0.0.1');
    const cast = await open({ scripted }, scene);
    await perform(cast, scene);
    if (!once) await keepRunning(cast, scene);
  } catch (thrown) {
    code = 1;
    page.heading(signal.aborted ? 'Broken off' : 'Failed');
    page.say(toError(signal.aborted ? signal.reason : thrown).message, 'bad');
  }
  return (await undo(scene)) ? code : 1;
}

async function setScene(): Promise<Scene> {
  const cleanup = createCleanup();
  const signal = obeySignals();
  const folder = await mkdtemp(join(tmpdir(), 'event-pusher-demo-'));
  process.stdout.on('error', () => process.exit(1)); // nobody reads on, as behind `head`
  const options = { recursive: true, force: true };
  cleanup.add(folder, { inOrder: () => rm(folder, options), atOnce: () => rmSync(folder, options) });
  return { page: createPage(process.stdout, readEnvironment()), cleanup, signal, clock: systemClock, folder };
}

async function open({ scripted }: { readonly scripted: boolean }, scene: Scene): Promise<Cast> {
  const { page } = scene;
  const server = await openServer({ scripted }, scene);
  const backend = await startBackend(scene);

  page.heading('Pusher');
  const pusher = await startPusher({ server, backend: backend.origin }, scene);
  page.row('configuration', pusher.configFile);
  page.row('attached', `to ${server.host}, as the component ${server.component.domain}`);
  page.row('pushes', `what users write, to ${backend.origin}/webservice/notifications`);
  return { server, backend, pusher };
}

async function perform(cast: Cast, scene: Scene): Promise<void> {
  const chat = await showChat(cast, scene);
  await showDelivery(cast, scene);
  await showOutage(chat, cast, scene);
  await showMetrics(cast, scene);
}

/** Whether everything could be undone. */
async function undo({ page, cleanup, folder }: Scene): Promise<boolean> {
  try {
    await cleanup.run();
    page.heading('Ended', `all that was started is stopped, ${folder} is removed`);
    return true;
  } catch (thrown) {
    page.heading('Left behind');
    page.say(toError(thrown).message, 'bad');
    return false;
  }
}
