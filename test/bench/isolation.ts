/**
 * Effect of a pool with a hanging backend on another pool. The built service with two pools: the same stanzas for the
 * healthy pool, first alone, then with a pool whose workers all hang and whose backlog grows.
 */
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { startTarget } from '../support/target.ts';
import { startSink } from './sink.ts';
import { median } from './statistics.ts';
import { workers } from './subjects.ts';
import { perSecond, type Row, times } from './table.ts';
import { startTapSource } from './tap-source.ts';

export interface Isolation {
  /** Events per second of the healthy pool. */
  readonly alone: number;
  readonly besideHanging: number;
}

const conversations = 2000;
/** Maximum number of stanzas of the healthy pool sent and not delivered yet, as in the end-to-end benchmark. */
const ahead = 600;
/** Backlog of the hanging pool before the measurement, and the interval of further deliveries. */
const backlog = 2000;
const oneMoreIn = 100;

/** Medians of alternating rounds. */
export async function measureIsolation({ rounds, events }: { readonly rounds: number; readonly events: number }): Promise<Isolation> {
  const measured: Isolation[] = [];
  for (let round = 0; round < rounds; round += 1) measured.push(await measureRound(events));
  return { alone: median(measured.map(({ alone }) => alone)), besideHanging: median(measured.map((round) => round.besideHanging)) };
}

export function isolationRows({ alone, besideHanging }: Isolation): readonly Row[] {
  return [
    {
      measure: 'events per second, while the backend of another pool hangs',
      measured: perSecond(besideHanging),
      reference: `alone ${perSecond(alone)}`,
      ratio: times(besideHanging / alone),
      goal: '≥ 0.9 ×',
    },
  ];
}

async function measureRound(events: number): Promise<Isolation> {
  return { alone: await measure(events, { besideHanging: false }), besideHanging: await measure(events, { besideHanging: true }) };
}

async function measure(events: number, { besideHanging }: { readonly besideHanging: boolean }): Promise<number> {
  const prefill = besideHanging ? backlog : 0;
  const isForHanging = (seq: number) => besideHanging && (seq <= prefill || seq % oneMoreIn === 0);
  const sink = await startSink();
  await using hanging = await startTarget({ script: () => ({ kind: 'silent' }), remembers: false });
  const source = await startTapSource({ window: 4000, stanza: (seq) => message(seq, isForHanging(seq) ? 'hanging' : 'healthy') });
  await using pusher = await createPusher({ loglevel: 'warn', config: config(source.port, sink.origin, hanging.origin) });
  await pusher.start();

  source.allow(prefill);
  await eventually(() => source.acked >= prefill && (!besideHanging || hanging.counts.open === workers));
  let others = prefill;
  let counted = prefill;
  const drive = async (until: number) => {
    const pace = setInterval(() => {
      const wanted = Math.min(until, sink.requests + ahead);
      for (; counted - others < wanted; counted += 1) if (isForHanging(counted + 1)) others += 1;
      source.allow(counted);
    }, 1);
    await eventually(() => sink.requests >= until, { withinMs: 120_000 });
    clearInterval(pace);
  };
  const warmUp = Math.ceil(events / 10);
  await drive(warmUp);
  const began = performance.now();
  await drive(warmUp + events);
  const seconds = (performance.now() - began) / 1000;

  await pusher.kill(); // a stop would wait for the hanging attempts
  source.close();
  sink.close();
  return Math.round(events / seconds);
}

function config(componentPort: number, healthy: string, hanging: string): string {
  return plainConfig({
    componentPort,
    backend: healthy,
    connection: `
[outgoing_pools.http.hanging]
workers = ${workers}
[outgoing_pools.http.hanging.connection]
host = "${hanging}"`,
    handlers: `
[[modules.mod_event_pusher.backend.http]]
path = "/notifications"
when = { from = "healthy*" }
[[modules.mod_event_pusher.backend.http]]
pool_name = "hanging"
path = "/hanging"
when = { from = "hanging*" }`,
  }).replace('workers = 20', `workers = ${workers}`);
}

function message(seq: number, pool: string): string {
  const user = seq % conversations;
  return `<message xmlns='jabber:client' type='chat' id='m${seq}' from='${pool}${user}@localhost/phone' to='peer${user}@localhost' xml:lang='en'><body>${seq} and some words, as people write them</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`;
}
