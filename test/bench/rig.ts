import { eventually } from '../support/eventually.ts';
import { processCpuMicros } from './process-usage.ts';
import { startSink } from './sink.ts';
import { product, type Running, type Subject } from './subjects.ts';
import { startTapSource } from './tap-source.ts';
import { type ThreadCpu, threadCpuMicros } from './thread-cpu.ts';

/**
 * A program as a separate process, between a tap and a backend that share the process of the benchmark, so all of them run on the
 * same cores: stanzas in over the tap, POSTs out.
 */
export interface Rig extends AsyncDisposable {
  readonly running: Running;
  readonly requests: number;
  /** Allows the source to send items up to this number. */
  allow(until: number): void;
  /** Sends items up to this number at full speed; resolves when all are at the backend and acknowledged. */
  drive(until: number): Promise<void>;
  /** Drives pieces of `piece` items, at most `events` in all, until the time is over. Returns the number of items. */
  driveFor(limits: { readonly seconds: number; readonly piece: number; readonly events: number }): Promise<number>;
  cpuMicros(): number;
  threadCpuMicros(): ThreadCpu;
}

export interface RigOptions {
  readonly subject?: Subject;
  /** Maximum number of stanzas sent and not delivered yet; the default gives full load without a backlog, which is measured separately. */
  readonly ahead?: number;
  /** The forwarded stanza with this number. */
  readonly stanza?: (seq: number) => string;
  /** Number of requests for each item. */
  readonly requestsPerItem?: number;
  readonly direction?: 'in' | 'out';
  readonly onRequest?: (body: Buffer, head: Buffer) => void;
}

const conversations = 2000;

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const { subject = product, ahead = 600, stanza = chatMessage, requestsPerItem = 1, direction = 'in', onRequest } = options;
  const sink = await startSink(onRequest);
  const source = await startTapSource({ window: 4000, stanza, direction });
  const running = await subject.start({ componentPort: source.port, backend: sink.origin });

  async function drive(until: number): Promise<void> {
    const done = () => Math.floor(sink.requests / requestsPerItem);
    const pace = setInterval(() => source.allow(Math.min(until, done() + ahead)), 1);
    await eventually(() => done() >= until && source.acked >= until, { withinMs: 120_000 }).finally(() => clearInterval(pace));
  }

  return {
    running,
    get requests() {
      return sink.requests;
    },
    allow: (until) => source.allow(until),
    drive,
    driveFor: async ({ seconds, piece, events }) => {
      const [before, began] = [source.sent, performance.now()];
      const goesOn = () => source.sent - before < events && performance.now() - began < seconds * 1000;
      do await drive(source.sent + piece);
      while (goesOn());
      return source.sent - before;
    },
    cpuMicros: () => processCpuMicros(running.pid),
    threadCpuMicros: () => threadCpuMicros(running.pid),
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]();
      source.close();
      sink.close();
    },
  };
}

/** A message of about 400 bytes in one of 2 000 conversations. Its text begins with the time of its creation, so a sink can compute the latency. */
export function chatMessage(seq: number): string {
  const user = seq % conversations;
  return `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user${user}@localhost/phone' to='peer${user}@localhost' xml:lang='en'><body>${performance.now()} and some words, as people write them</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`;
}
