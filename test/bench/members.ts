/**
 * A room of Prosody with many members, of whom few are in it: the cost of the copies for the absent ones, from the tap through the built
 * service to the backend, compared with the same room whose handler needs only what is sent to it.
 */
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import { processCpuMicros } from './process-usage.ts';
import { startSink } from './sink.ts';
import { median } from './statistics.ts';
import { micros, millis, none, type Row, times } from './table.ts';

interface Extent {
  readonly members: number;
  readonly present: number;
  readonly messages: number;
}

interface Cost {
  /** CPU of Prosody per message, until its last copy is acknowledged. */
  readonly cpuMicros: number;
  /** From the sending of a message to its arrival at the speaker, the last of the occupants. */
  readonly echoMs: readonly number[];
  /** From the sending of a message to the last of its requests. */
  readonly lastMs: readonly number[];
}

export interface Members {
  readonly extent: Extent;
  readonly without: Cost;
  readonly withCopies: Cost;
}

const room = 'hall@rooms.localhost';
const sentIn = '[[modules.mod_event_pusher.backend.http]]\npath = "/said"\nwhen = { event = "groupchat", direction = "in" }\n';
const absent = '[[modules.mod_event_pusher.backend.http]]\npath = "/unheard"\nwhen = { event = "groupchat", occupant = false }\n';

/** Undefined without Prosody. */
export async function measureMembers(extent: Extent): Promise<Members | undefined> {
  if (!(await requirePackage('prosody'))) return undefined;
  const without = await measureRoomOf(extent, { handlers: sentIn, requests: 1 });
  const withCopies = await measureRoomOf(extent, { handlers: sentIn + absent, requests: 1 + extent.members - extent.present });
  return { extent, without, withCopies };
}

async function measureRoomOf(
  { members, present, messages }: Extent,
  { handlers, requests }: { readonly handlers: string; readonly requests: number },
): Promise<Cost> {
  const names = Array.from({ length: members }, (_, index) => `member${index}`);
  const users = Object.fromEntries(names.map((name) => [name, 'pw']));
  await using prosody = await startProsody({ users, rooms: 'rooms.localhost', config: 'default_archive_policy = false' });
  const sink = await startSink();
  const config = plainConfig({ componentPort: prosody.componentPort, backend: sink.origin, handlers });
  await using pusher = await createPusher({ loglevel: 'warn', config });
  await pusher.start();
  const occupants = await Promise.all(names.slice(0, present).map((user) => prosody.connect({ user })));
  for (const occupant of occupants) await enter(occupant);
  await makeMembers(prosody, names);

  const [echoMs, lastMs]: [number[], number[]] = [[], []];
  let cpuBefore = 0;
  for (let message = 0; message <= messages; message += 1) {
    if (message === 1) cpuBefore = processCpuMicros(prosody.pid()); // the first one warms up
    const began = performance.now();
    await say(occupants[0], String(message));
    const echo = performance.now() - began;
    await eventually(() => sink.requests >= (message + 1) * requests);
    if (message > 0) echoMs.push(echo);
    if (message > 0) lastMs.push(performance.now() - began);
  }
  const cpuMicros = (processCpuMicros(prosody.pid()) - cpuBefore) / messages;
  await pusher.stop();
  sink.close();
  return { cpuMicros, echoMs, lastMs };
}

async function enter(user: XmppUser): Promise<void> {
  user.send(`<presence to='${room}/${user.bare}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next(({ name, attrs }) => name === 'message' && attrs['type'] === 'groupchat'); // the subject
}

async function say(user: XmppUser | undefined, body: string): Promise<void> {
  user?.send(`<message to='${room}' type='groupchat'><body>${body} and some words</body></message>`);
  await user?.next((stanza) => stanza.text('body').startsWith(`${body} `));
}

async function makeMembers(prosody: Prosody, names: readonly string[]): Promise<void> {
  const hall = `prosody.hosts["rooms.localhost"].modules.muc.get_room_from_jid("${room}")`;
  const list = names.slice(1).map((name) => JSON.stringify(name));
  await prosody.shell(
    `> (function () for _, name in ipairs { ${list.join(', ')} } do ${hall}:set_affiliation(true, name .. "@localhost", "member") end end)()`,
  );
}

export function membersRows(measured: Members | undefined): readonly Row[] {
  if (measured === undefined) return [];
  const { extent, without, withCopies } = measured;
  const { members, present } = extent;
  const copies = members - present;
  const about = `a room of ${members} members, ${present} present`;
  const [echo, echoBefore] = [median(withCopies.echoMs), median(without.echoMs)];
  return [
    {
      measure: `${about}: CPU of Prosody per message`,
      measured: millis(withCopies.cpuMicros / 1000),
      reference: `without copies ${millis(without.cpuMicros / 1000)}`,
      ratio: times(withCopies.cpuMicros / without.cpuMicros),
      goal: none,
    },
    {
      measure: 'the same per copy for an absent member',
      measured: micros((withCopies.cpuMicros - without.cpuMicros) / copies),
      reference: none,
      ratio: none,
      goal: none,
    },
    {
      measure: `${about}: until the speaker hears it`,
      measured: millis(echo),
      reference: `without copies ${millis(echoBefore)}`,
      ratio: times(echo / echoBefore),
      goal: none,
    },
    {
      measure: `${about}: until the last of ${copies + 1} requests`,
      measured: millis(median(withCopies.lastMs)),
      reference: none,
      ratio: none,
      goal: none,
    },
  ];
}
