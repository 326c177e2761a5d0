import { startTapServer, type TapServer, type TapServerOptions } from '../../demo/tap-server.ts';
import { chat } from './component-source.ts';

/** A scripted chat server of the host `localhost`, with a method to send messages. */
export interface ScriptedChat extends AsyncDisposable {
  readonly server: TapServer;
  /** A user (default: alice) sends bob a chat message. */
  say(body: string, user?: string): void;
}

export async function startScriptedChat(options: Partial<TapServerOptions> = {}): Promise<ScriptedChat> {
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret', ...options });
  return {
    server,
    say: (body, user = 'alice') => {
      const from = `${user}@localhost/phone`;
      server.push(chat(body, { from }), { dir: 'in', session: from });
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}
