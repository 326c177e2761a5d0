import { type Client, client, xml } from '@xmpp/client';
import type { Chat } from './chat-server.ts';
import type { Line, User } from './conversation.ts';
import { loopback } from './loopback.ts';
import type { Scene } from './scene.ts';
import { settled, until } from './until.ts';

export interface ChatLogin {
  readonly port: number;
  readonly host: string;
  readonly passwords: Readonly<Record<User, string>>;
}

interface LoggedIn {
  readonly xmpp: Client;
  /** Bodies, oldest first. */
  readonly heard: readonly string[];
}

/** Logs every user in over a real client connection, as their apps do. */
export async function openClients(login: ChatLogin, scene: Scene): Promise<Chat> {
  const [alice, bob] = await Promise.all([logIn('alice', login, scene), logIn('bob', login, scene)]);
  const clients: Readonly<Record<User, LoggedIn>> = { alice, bob };

  async function say({ from, to, text }: Line): Promise<void> {
    const { heard } = clients[to];
    const before = heard.length;
    await clients[from].xmpp.send(xml('message', { to: `${to}@${login.host}`, type: 'chat' }, xml('body', {}, text)));
    const problem = `${to}'s client did not receive what ${from} sent`;
    await until(() => heard.slice(before).includes(text), { problem, withinMs: 10_000, ...scene });
  }
  return { say };
}

async function logIn(user: User, { port, host, passwords }: ChatLogin, scene: Scene): Promise<LoggedIn> {
  const xmpp = client({
    service: `xmpp://${loopback}:${port}`,
    domain: host,
    username: user,
    password: passwords[user],
    resource: 'demo',
  });
  const heard: string[] = [];
  const address = `${user}@${host}/demo`;
  let available = false;
  xmpp.on('error', () => undefined); // start() rejects with the same, and later a line that does not arrive says more
  xmpp.on('stanza', (stanza) => {
    if (stanza.name === 'presence' && stanza.attrs['from'] === address) available = true;
    const body = stanza.name === 'message' ? stanza.getChildText('body') : null;
    if (body !== null) heard.push(body);
  });

  scene.cleanup.add(`${user}'s client`, { inOrder: async () => void (await xmpp.stop()) });
  const withinMs = 20_000;
  await settled(xmpp.start(), { problem: `${user} could not log in`, withinMs, ...scene });
  await xmpp.send(xml('presence'));
  await until(() => available, { problem: `${user} did not become available`, withinMs, ...scene });
  return { xmpp, heard };
}
