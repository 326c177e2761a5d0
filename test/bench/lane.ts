/** One busy conversation, whose deliveries go out one after the other; and one message to a room with many occupants. */
import { eventually } from '../support/eventually.ts';
import { startRig } from './rig.ts';
import { median } from './statistics.ts';
import { productWith } from './subjects.ts';
import { micros, none, perSecond, type Row } from './table.ts';

export interface Lane {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

/** Sends messages of one conversation, at most `events`, and checks their order. */
export async function measureLane(events: number): Promise<Lane> {
  let last = 0;
  const onRequest = (body: Buffer) => {
    const number = Number(/message=(\d+)/.exec(body.toString('latin1'))?.[1]);
    if (number !== last + 1) throw new Error(`message ${number} follows ${last}`);
    last = number;
  };
  const stanza = (seq: number) =>
    `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user1@localhost/phone' to='peer1@localhost'><body>${seq} and some words</body></message>`;
  await using rig = await startRig({ stanza, onRequest });
  const limits = { seconds: 8, piece: 1000, events };
  await rig.driveFor({ ...limits, events: 0 });
  const [cpuBefore, began] = [rig.cpuMicros(), performance.now()];
  const driven = await rig.driveFor(limits);
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: driven / seconds, cpuMicros: (rig.cpuMicros() - cpuBefore) / driven };
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
      reference: `CPU of each ${micros(lane.cpuMicros)}`,
      ratio: none,
      goal: '≥ 2 000/s',
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
