/**
 * Messages per second between users of a real chat server whose tap feeds the built service, until all messages are at
 * the backend, compared with the same server alone. Neither has an archive.
 */
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { type Chat, type ChatServer, onEachServer } from './chat-servers.ts';
import { median } from './cost.ts';
import type { ChatRate } from './gate.ts';
import { processCpuMicros } from './process-cpu.ts';
import { startSink } from './sink.ts';
import { pass, startTalks } from './talks.ts';

export interface TapRate {
  readonly server: string;
  readonly alone: ChatRate;
  readonly tapped: ChatRate;
}

const warmUpSeconds = 1;

/** Medians of alternating rounds with and without the tap. */
export function measureTap(extent: { readonly rounds: number; readonly seconds: number }): Promise<readonly TapRate[]> {
  return onEachServer(async ({ name, start }) => {
    const alone: ChatRate[] = [];
    const tapped: ChatRate[] = [];
    for (let round = 1; round <= extent.rounds; round += 1) {
      alone.push(await measureAlone(start, extent.seconds));
      tapped.push(await measureTapped(start, extent.seconds));
    }
    return { server: name, alone: middle(alone), tapped: middle(tapped) };
  });
}

async function measureAlone(start: ChatServer['start'], seconds: number): Promise<ChatRate> {
  await using chat = await start({});
  return await measureChat(chat, { seconds, pushed: () => Number.POSITIVE_INFINITY });
}

async function measureTapped(start: ChatServer['start'], seconds: number): Promise<ChatRate> {
  await using chat = await start({ tap: true });
  const sink = await startSink();
  await using pusher = await createPusher({
    loglevel: 'warn',
    config: plainConfig({ componentPort: chat.componentPort, backend: sink.origin }),
  });
  await pusher.start();
  const rate = await measureChat(chat, { seconds, pushed: () => sink.requests });
  await pusher.stop();
  sink.close();
  return rate;
}

/** Measures from the end of the warm-up until the last message of the period has been read and pushed. */
async function measureChat(
  chat: Chat,
  { seconds, pushed }: { readonly seconds: number; readonly pushed: () => number },
): Promise<ChatRate> {
  await using talks = await startTalks(chat.c2sPort, pushed);
  const through = () => Math.min(talks.read, pushed());
  await pass(warmUpSeconds);
  const before = { through: through(), cpuMicros: processCpuMicros(chat.pid()), at: performance.now() };
  await pass(seconds);
  const written = talks.hush();
  await eventually(() => through() >= written);
  const messages = written - before.through;
  const elapsed = (performance.now() - before.at) / 1000;
  return { perSecond: Math.round(messages / elapsed), cpuMicros: (processCpuMicros(chat.pid()) - before.cpuMicros) / messages };
}

function middle(rates: readonly ChatRate[]): ChatRate {
  return {
    perSecond: median(rates.map(({ perSecond }) => perSecond)),
    cpuMicros: median(rates.map(({ cpuMicros }) => cpuMicros)),
  };
}
