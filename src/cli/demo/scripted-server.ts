import { randomBytes } from 'node:crypto';
import { escapeText } from '../../packet/xml/element.ts';
import type { ChatServer } from './chat-server.ts';
import type { Line } from './conversation.ts';
import { loopback } from './loopback.ts';
import type { Scene } from './scene.ts';
import { startTapServer } from './tap-server.ts';

const host = 'localhost';
const domain = 'pusher.localhost';

/** In the place of a chat server: hands the conversation over as Prosody's module would, word for word. */
export async function startScriptedServer({ page, cleanup, clock }: Scene): Promise<ChatServer> {
  const secret = randomBytes(16).toString('hex');
  const server = await startTapServer({ host, domain, secret });
  cleanup.add('the scripted server', { inOrder: () => server.close() });

  async function say({ from, to, text }: Line): Promise<void> {
    const session = `${from}@${host}/demo`;
    const stamp = new Date(clock.now()).toISOString();
    const stanza = `<message xmlns='jabber:client' from='${session}' to='${to}@${host}' type='chat'><body>${escapeText(text)}</body></message>`;
    server.push(stanza, { dir: 'in', session, stamp });
    server.push(stanza, { dir: 'out', sessions: 1, stamp });
  }

  page.row('server', 'SCRIPTED, no chat server: a listener that speaks the component protocol and knows the lines by heart');
  page.row('listens on', `${loopback}:${server.port} for components`);
  return {
    host,
    component: { port: server.port, domain, secret },
    chatters: 'played by the scripted server: nobody is logged in',
    openChat: async () => ({ say }),
    invitation: undefined,
    assertRunning: () => undefined,
  };
}
