import { crowd } from '../support/crowd.ts';
import { connectUser, type XmppUser } from '../support/xmpp-user.ts';

const writers = 20;
/** Each writer writes to this number of readers, with one message in flight per conversation. */
const readersOfEach = 10;
/** Maximum number of messages written and not at the backend yet: enough for full load, too few for a backlog. */
const unpushed = 600;
const text = 'some words, as people write them';

/** The users of the conversations. */
export const talkers = crowd(2 * writers);

/** Users who write to others: each message follows when an earlier one has been read. */
export interface Talks extends AsyncDisposable {
  /** Number of messages read by their receivers. */
  readonly read: number;
  /** Stops writing; returns the number of written messages. */
  hush(): number;
}

/** Connects all users, and begins. `pushed` returns the number of messages at the backend, if there is one. */
export async function startTalks(port: number, pushed: () => number = () => Number.POSITIVE_INFINITY): Promise<Talks> {
  const counts = { read: 0, written: 0 };
  const held: (() => void)[] = [];
  let on = true;
  const users = await Promise.all(Object.keys(talkers).map((user) => connectUser({ port, user })));

  async function talk(writer: XmppUser, reader: XmppUser): Promise<void> {
    const write = () => {
      counts.written += 1;
      writer.sendChat(reader.bare, text);
    };
    write();
    for (;;) {
      await reader.next(({ name }) => name === 'message', 60_000);
      counts.read += 1;
      if (!on) continue;
      if (counts.written - pushed() < unpushed) write();
      else held.push(write);
    }
  }

  const readers = users.slice(writers);
  for (const [index, writer] of users.slice(0, writers).entries())
    for (const reader of [...readers, ...readers].slice(index, index + readersOfEach)) talk(writer, reader).catch(() => undefined); // it ends with its connection

  const release = setInterval(() => {
    while (on && held.length > 0 && counts.written - pushed() < unpushed) held.shift()?.();
  }, 1);

  return {
    get read() {
      return counts.read;
    },
    hush: () => {
      on = false;
      return counts.written;
    },
    [Symbol.asyncDispose]: async () => {
      on = false;
      clearInterval(release);
      for (const user of users) await user.cut();
    },
  };
}

export function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
