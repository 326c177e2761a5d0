import { randomBytes } from 'node:crypto';
import { readEnvironment } from '../src/config/environment.ts';
import { toError } from '../src/kit/errors.ts';
import { escapeText } from '../src/packet/xml/element.ts';
import type { ChatServer, Line } from './chat.ts';
import { findProgram, loopback } from './processes.ts';
import { installProsody, type ProsodyPrograms, startProsody } from './prosody.ts';
import type { Scene } from './scene.ts';
import { startTapServer } from './tap-server.ts';

/** The installed Prosody, else Debian's package of it. The scripted server if neither is available, or on request. */
export async function openServer({ scripted }: { readonly scripted: boolean }, scene: Scene): Promise<ChatServer> {
  scene.page.heading('Chat server');
  if (scripted) return startScriptedServer(scene);

  const programs = findProsody();
  if (programs !== undefined) return startReal(programs, scene);

  const problem = await installProsody(scene);
  const installed = findProsody();
  if (installed !== undefined) return startReal(installed, scene);

  scene.page.say(`${problem}.`, 'bad');
  scene.page.say('To run the demo with a real chat server, install Prosody and try again:');
  scene.page.row('Debian, Ubuntu', 'sudo apt-get install prosody');
  scene.page.row('Fedora', 'sudo dnf install prosody');
  scene.page.row('others', 'https://prosody.im/download');
  scene.page.say('The demo continues with a scripted server:');
  return startScriptedServer(scene);
}

async function startReal(programs: ProsodyPrograms, scene: Scene): Promise<ChatServer> {
  try {
    return await startProsody(programs, scene);
  } catch (cause) {
    throw new Error(`${toError(cause).message}\n\nWith --scripted the demo needs no chat server.`, { cause });
  }
}

function findProsody(): ProsodyPrograms | undefined {
  const env = readEnvironment();
  const prosody = findProgram('prosody', env);
  const prosodyctl = findProgram('prosodyctl', env);
  return prosody === undefined || prosodyctl === undefined ? undefined : { prosody, prosodyctl };
}

const host = 'localhost';
const domain = 'pusher.localhost';

/** A substitute for a chat server: sends the conversation exactly as Prosody's module does. */
async function startScriptedServer({ page, cleanup, clock }: Scene): Promise<ChatServer> {
  const secret = randomBytes(16).toString('hex');
  const server = await startTapServer({ host, domain, secret });
  cleanup.add('the scripted server', { inOrder: () => server.close() });

  async function send({ from, to, text }: Line): Promise<void> {
    const session = `${from}@${host}/demo`;
    const stamp = new Date(clock.now()).toISOString();
    const stanza = `<message xmlns='jabber:client' from='${session}' to='${to}@${host}' type='chat'><body>${escapeText(text)}</body></message>`;
    server.push(stanza, { dir: 'in', session, stamp });
    server.push(stanza, { dir: 'out', sessions: 1, stamp });
  }

  page.row('server', 'SCRIPTED, no chat server: a listener that speaks the component protocol and plays the conversation');
  page.row('listens on', `${loopback}:${server.port} for components`);
  return {
    host,
    component: { port: server.port, domain, secret },
    chatters: 'played by the scripted server, no user is logged in',
    openChat: async () => ({ send }),
    invitation: undefined,
    assertRunning: () => undefined,
  };
}
