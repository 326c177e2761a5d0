/**
 * Messages per second between users of a real chat server whose tap feeds the built service, until all messages are at
 * the backend, compared with the same server alone. Neither has an archive.
 */
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { type Chat, type ChatServer, onEachServer } from './chat-servers.ts';
import type { ChatRate } from './gate.ts';
import { processCpuMicros } from './process-usage.ts';
import { startSink } from './sink.ts';
import { median } from './statistics.ts';
import { micros, none, perSecond, type Row, times } from './table.ts';
import { pass, startTalks } from './talks.ts';

export interface TapRate {
  readonly server: string;
  readonly alone: ChatRate;
  /** With the default handler, which needs the messages that local users send. */
  readonly tapped: ChatRate;
  /** With a second handler for messages that are routed to local users: two requests for each message. */
  readonly bothDirections: ChatRate;
}

const warmUpSeconds = 1;
const handlerIn = '[[modules.mod_event_pusher.backend.http]]\npath = "/notifications"\n';
const handlerOut =
  '[[modules.mod_event_pusher.backend.http]]\npath = "/received"\nwhen = { direction = "out", type = "chat", body = true }\n';

/** Medians of alternating rounds. */
export function measureTap(extent: { readonly rounds: number; readonly seconds: number }): Promise<readonly TapRate[]> {
  return onEachServer(async ({ name, start }) => {
    const [alone, tapped, bothDirections]: [ChatRate[], ChatRate[], ChatRate[]] = [[], [], []];
    for (let round = 1; round <= extent.rounds; round += 1) {
      alone.push(await measureAlone(start, extent.seconds));
      tapped.push(await measureTapped(start, { seconds: extent.seconds, handlers: handlerIn, requestsPerMessage: 1 }));
      bothDirections.push(await measureTapped(start, { seconds: extent.seconds, handlers: handlerIn + handlerOut, requestsPerMessage: 2 }));
    }
    return { server: name, alone: middle(alone), tapped: middle(tapped), bothDirections: middle(bothDirections) };
  });
}

async function measureAlone(start: ChatServer['start'], seconds: number): Promise<ChatRate> {
  await using chat = await start({});
  return await measureChat(chat, { seconds, pushed: () => Number.POSITIVE_INFINITY });
}

interface Tapped {
  readonly seconds: number;
  /** TOML. */
  readonly handlers: string;
  readonly requestsPerMessage: number;
}

async function measureTapped(start: ChatServer['start'], { seconds, handlers, requestsPerMessage }: Tapped): Promise<ChatRate> {
  await using chat = await start({ tap: true });
  const sink = await startSink();
  const config = plainConfig({ componentPort: chat.componentPort, backend: sink.origin, handlers });
  await using pusher = await createPusher({ loglevel: 'warn', config });
  await pusher.start();
  const rate = await measureChat(chat, { seconds, pushed: () => Math.floor(sink.requests / requestsPerMessage) });
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

export function tapRows(rates: readonly TapRate[]): readonly Row[] {
  return rates.flatMap(({ server, alone, tapped, bothDirections }) => [
    cpuRow(`CPU of ${server} per message, with the tap`, tapped, { alone, goal: '≤ 1.25 ×' }),
    cpuRow(`CPU of ${server} per message, both directions`, bothDirections, { alone, goal: none }),
    {
      measure: `messages per second through ${server}, to the backend`,
      measured: perSecond(tapped.perSecond),
      reference: `alone ${perSecond(alone.perSecond)}`,
      ratio: times(tapped.perSecond / alone.perSecond),
      goal: none,
    },
  ]);
}

function cpuRow(measure: string, { cpuMicros }: ChatRate, { alone, goal }: { readonly alone: ChatRate; readonly goal: string }): Row {
  const reference = `alone ${micros(alone.cpuMicros)}`;
  return { measure, measured: micros(cpuMicros), reference, ratio: times(cpuMicros / alone.cpuMicros), goal };
}
