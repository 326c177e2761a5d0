import { client, type Element, xml } from '@xmpp/client';
import { eventually } from './eventually.ts';

/** A user on @xmpp/client, the library of chat applications. */
export interface XmppJsUser extends AsyncDisposable {
  /** Bodies of the messages received, oldest first. */
  readonly heard: readonly string[];
  /** Sends a chat message. */
  say(to: string, body: string): Promise<void>;
  send(stanza: Element): Promise<void>;
}

export interface XmppJsLogin {
  readonly port: number;
  /** As typed by the user; the server prepares it. */
  readonly username: string;
  readonly resource?: string;
  readonly domain?: string;
  readonly password?: string;
}

/** Logs in over a loopback connection without TLS; resolves when the server has received the initial presence. */
export async function connectXmppJs(login: XmppJsLogin): Promise<XmppJsUser> {
  const { port, username, resource = 'js', domain = 'localhost', password = 'pw' } = login;
  const xmpp = client({ service: `xmpp://127.0.0.1:${port}`, domain, username, password, resource });
  const heard: string[] = [];
  let available = false;
  xmpp.on('error', () => undefined); // start() rejects with the same error
  xmpp.on('stanza', (stanza) => {
    if (stanza.name === 'presence' && stanza.attrs['from']?.endsWith(`/${resource}`) === true) available = true;
    const body = stanza.name === 'message' ? stanza.getChildText('body') : null;
    if (body !== null) heard.push(body);
  });
  await xmpp.start();
  await xmpp.send(xml('presence'));
  await eventually(() => available);

  return {
    heard,
    say: (to, body) => xmpp.send(xml('message', { to, type: 'chat' }, xml('body', {}, body))),
    send: (stanza) => xmpp.send(stanza),
    [Symbol.asyncDispose]: async () => void (await xmpp.stop()),
  };
}
