import { type Client, client, xml } from '@xmpp/client';
import { loopback } from './processes.ts';
import type { Scene } from './scene.ts';
import { settled, until } from './scene.ts';

/** A chat server with a tap, a configured component, and the accounts of the conversation. */
export interface ChatServer {
  readonly host: string;
  /** The settings of the service's attachment. */
  readonly component: { readonly port: number; readonly domain: string; readonly secret: string };
  /** A description of the chatting users. */
  readonly chatters: string;
  /** Logs the users in. */
  openChat(): Promise<Chat>;
  /** How another client can join; undefined if it cannot. */
  readonly invitation: string | undefined;
  /** Throws if the server has ended by itself. */
  assertRunning(): void;
}

export interface Chat {
  /** Sends a message and resolves when the receiver has it. */
  send(line: Line): Promise<void>;
}

/** One message of a conversation between two accounts of the same host. */
export interface Line {
  readonly from: User;
  readonly to: User;
  readonly text: string;
}

export type User = 'alice' | 'bob';

/** Plain ASCII, other letters, characters beyond the Basic Multilingual Plane, and line breaks: typical mistakes of form encoders. */
export const conversation: readonly Line[] = [
  { from: 'alice', to: 'bob', text: 'Hi, Bob!' },
  { from: 'bob', to: 'alice', text: 'Grüß dich, Alice!' },
  { from: 'alice', to: 'bob', text: 'Tea? 🍵🙂' },
  { from: 'bob', to: 'alice', text: 'Sure:\n1. green\n2. mint' },
];

export const duringTheOutage: Line = { from: 'alice', to: 'bob', text: 'At noon, & bring cake!' };

/** `alice → bob` */
export function describeUsers({ from, to }: { readonly from: string; readonly to: string }): string {
  return `${from} → ${to}`;
}

/** `alice → bob   Hi, Bob!`, with further lines under the first. */
export function describeLine({ from, to, text }: { readonly from: string; readonly to: string; readonly text: string }): string {
  const who = describeUsers({ from, to }).padEnd(14);
  return `${who}${text.replaceAll('\n', `\n${' '.repeat(who.length)}`)}`;
}

export interface ChatLogin {
  readonly port: number;
  readonly host: string;
  readonly passwords: Readonly<Record<User, string>>;
}

interface LoggedIn {
  readonly xmpp: Client;
  /** Bodies of received messages, oldest first. */
  readonly received: readonly string[];
}

/** Logs both users in over real client connections. */
export async function openClients(login: ChatLogin, scene: Scene): Promise<Chat> {
  const [alice, bob] = await Promise.all([logIn('alice', login, scene), logIn('bob', login, scene)]);
  const clients: Readonly<Record<User, LoggedIn>> = { alice, bob };

  async function send({ from, to, text }: Line): Promise<void> {
    const { received } = clients[to];
    const before = received.length;
    await clients[from].xmpp.send(xml('message', { to: `${to}@${login.host}`, type: 'chat' }, xml('body', {}, text)));
    const problem = `${to}'s client did not receive what ${from} sent`;
    await until(() => received.slice(before).includes(text), { problem, withinMs: 10_000, ...scene });
  }
  return { send };
}

async function logIn(user: User, { port, host, passwords }: ChatLogin, scene: Scene): Promise<LoggedIn> {
  const xmpp = client({
    service: `xmpp://${loopback}:${port}`,
    domain: host,
    username: user,
    password: passwords[user],
    resource: 'demo',
  });
  const received: string[] = [];
  const address = `${user}@${host}/demo`;
  let available = false;
  xmpp.on('error', () => undefined); // start() rejects with the same error, and later a missing message gives a better one
  xmpp.on('stanza', (stanza) => {
    if (stanza.name === 'presence' && stanza.attrs['from'] === address) available = true;
    const body = stanza.name === 'message' ? stanza.getChildText('body') : null;
    if (body !== null) received.push(body);
  });

  scene.cleanup.add(`${user}'s client`, { inOrder: async () => void (await xmpp.stop()) });
  const withinMs = 20_000;
  await settled(xmpp.start(), { problem: `${user} could not log in`, withinMs, ...scene });
  await xmpp.send(xml('presence'));
  await until(() => available, { problem: `${user} did not become available`, withinMs, ...scene });
  return { xmpp, received };
}
