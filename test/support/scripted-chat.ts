import { startTapServer, type TapServer, type TapServerOptions } from '../../demo/tap-server.ts';
import { chat } from './component-source.ts';

/** A scripted chat server of the host `localhost`, with a method to send messages. */
export interface ScriptedChat extends AsyncDisposable {
  readonly server: TapServer;
  /** A user (default: alice) sends bob a chat message with the given id (default: m1). */
  say(body: string, user?: string, id?: string): void;
}

export async function startScriptedChat(options: Partial<TapServerOptions> = {}): Promise<ScriptedChat> {
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret', ...options });
  return {
    server,
    say: (body, user = 'alice', id = 'm1') => {
      const from = `${user}@localhost/phone`;
      server.push(chat(body, { from, id }), { dir: 'in', session: from });
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}
