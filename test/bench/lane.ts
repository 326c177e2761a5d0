/** One busy conversation, whose deliveries go out one after the other; and one message to a room with many occupants. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../support/eventually.ts';
import { startRig } from './rig.ts';
import { startSink } from './sink.ts';
import { median } from './statistics.ts';
import { productWith } from './subjects.ts';
import { micros, none, perSecond, type Row, times } from './table.ts';

export interface Lane {
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Requests per second of `serial.mjs`. */
  readonly serialPerSecond: number;
}

/** Medians of alternating rounds of both programs, after a warm-up of each. */
export async function measureLane({ rounds, events }: { readonly rounds: number; readonly events: number }): Promise<Lane> {
  const ours: Awaited<ReturnType<typeof driveLane>>[] = [];
  const serial: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await driveLane(events));
    serial.push(await measureSerial(events));
  }
  return {
    perSecond: median(ours.map((each) => each.perSecond)),
    cpuMicros: median(ours.map((each) => each.cpuMicros)),
    serialPerSecond: median(serial),
  };
}

/** Sends messages of one conversation, and checks their order. */
async function driveLane(events: number): Promise<Omit<Lane, 'serialPerSecond'>> {
  let last = 0;
  const onRequest = (body: Buffer) => {
    const number = Number(/message=(\d+)/.exec(body.toString('latin1'))?.[1]);
    if (number !== last + 1) throw new Error(`message ${number} follows ${last}`);
    last = number;
  };
  const stanza = (seq: number) =>
    `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user1@localhost/phone' to='peer1@localhost'><body>${seq} and some words</body></message>`;
  await using rig = await startRig({ stanza, onRequest });
  await rig.drive(events / 2);
  const [cpuBefore, began] = [rig.cpuMicros(), performance.now()];
  await rig.drive(events / 2 + events);
  return { perSecond: (1000 * events) / (performance.now() - began), cpuMicros: (rig.cpuMicros() - cpuBefore) / events };
}

async function measureSerial(requests: number): Promise<number> {
  const sink = await startSink();
  const child = fork(new URL('./serial.mjs', import.meta.url), [sink.origin, String(requests)], { execArgv: [] });
  const [rate] = await once(child, 'message');
  sink.close();
  return Number(rate);
}

export interface Room {
  readonly occupants: number;
  /** From the first stanza of a message to the last request. */
  readonly lastAfterMs: number;
}

/** The copies of each message for all occupants arrive at once; median of `messages`. */
export async function measureRoom({ occupants, messages }: { readonly occupants: number; readonly messages: number }): Promise<Room> {
  const handlers = `[[modules.mod_event_pusher.backend.http]]
path = "/notifications"
when = { direction = "out", type = "groupchat" }`;
  const stanza = (seq: number) =>
    `<message xmlns='jabber:client' type='groupchat' id='m${Math.ceil(seq / occupants)}' from='room@conference.localhost/alice' to='user${seq % occupants}@localhost/phone'><body>some words, as people write them</body></message>`;
  await using rig = await startRig({ subject: productWith({ handlers }), stanza, direction: 'out' });
  await rig.drive(occupants);
  const durations: number[] = [];
  for (let message = 0; message < messages; message += 1) {
    const [before, began] = [rig.requests, performance.now()];
    rig.allow(before + occupants);
    await eventually(() => rig.requests >= before + occupants);
    durations.push(performance.now() - began);
    await rig.drive(before + occupants); // waits for the acknowledgement
  }
  return { occupants, lastAfterMs: median(durations) };
}

export function laneRows(lane: Lane, room: Room): readonly Row[] {
  return [
    {
      measure: 'deliveries per second in one lane',
      measured: perSecond(lane.perSecond),
      reference: `undici, one at a time: ${perSecond(lane.serialPerSecond)}`,
      ratio: times(lane.perSecond / lane.serialPerSecond),
      goal: '≥ 2 000/s',
    },
    {
      measure: 'CPU per delivery in one lane',
      measured: micros(lane.cpuMicros),
      reference: none,
      ratio: none,
      goal: none,
    },
    {
      measure: `a room message to ${room.occupants} occupants, until the last request`,
      measured: `${(room.lastAfterMs / 1000).toFixed(2)} s`,
      reference: none,
      ratio: none,
      goal: '≤ 1 s',
    },
  ];
}
