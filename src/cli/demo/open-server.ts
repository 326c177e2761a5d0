import { readEnvironment } from '../../config/environment.ts';
import { toError } from '../../kit/errors.ts';
import type { ChatServer } from './chat-server.ts';
import { findProgram } from './find-program.ts';
import { installProsody } from './install-prosody.ts';
import { type ProsodyPrograms, startProsody } from './prosody.ts';
import type { Scene } from './scene.ts';
import { startScriptedServer } from './scripted-server.ts';

/** A Prosody: the one that is installed, else Debian's package of it. Where neither can be had, or on demand, a scripted server. */
export async function openServer({ scripted }: { readonly scripted: boolean }, scene: Scene): Promise<ChatServer> {
  scene.page.heading('Chat server');
  if (scripted) return startScriptedServer(scene);

  const programs = findProsody();
  if (programs !== undefined) return startReal(programs, scene);

  const problem = await installProsody(scene);
  const installed = findProsody();
  if (installed !== undefined) return startReal(installed, scene);

  scene.page.say(`${problem}.`, 'bad');
  scene.page.say('To see the demo with a real chat server, install one and run it again:');
  scene.page.row('Debian, Ubuntu', 'sudo apt-get install prosody');
  scene.page.row('Fedora', 'sudo dnf install prosody');
  scene.page.row('others', 'https://prosody.im/download');
  scene.page.say('Until then, the same path with a scripted server:');
  return startScriptedServer(scene);
}

async function startReal(programs: ProsodyPrograms, scene: Scene): Promise<ChatServer> {
  try {
    return await startProsody(programs, scene);
  } catch (cause) {
    throw new Error(`${toError(cause).message}\n\nWith --scripted the demo does without a chat server.`, { cause });
  }
}

function findProsody(): ProsodyPrograms | undefined {
  const env = readEnvironment();
  const prosody = findProgram('prosody', env);
  const prosodyctl = findProgram('prosodyctl', env);
  return prosody === undefined || prosodyctl === undefined ? undefined : { prosody, prosodyctl };
}
