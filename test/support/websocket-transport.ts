import { WebSocket } from 'undici';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { createInbox } from './inbox.ts';
import type { Transport } from './xmpp-user.ts';

const framing = 'urn:ietf:params:xml:ns:xmpp-framing';

/** A client's transport over WebSocket (RFC 7395): one element in each text frame. */
export async function openWebSocket(owner: string, port: number, host: string): Promise<Transport> {
  const inbox = createInbox(owner);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/xmpp-websocket`, { protocols: ['xmpp'], headers: { host } });
  const opened = new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', ({ message }) => reject(new Error(`${owner}: no WebSocket: ${message}`)));
  });
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => {
      inbox.end('the WebSocket is closed');
      resolve();
    });
  });
  socket.addEventListener('message', ({ data }) => {
    const element = parseStanza(String(data), { namespaces: { '': 'jabber:client', stream: 'http://etherx.jabber.org/streams' } });
    if (element.ns === framing && element.name === 'close') socket.close();
    else inbox.put(element);
  });
  await opened;

  return {
    inbox,
    open: async () => {
      socket.send(`<open xmlns='${framing}' to='${host}' version='1.0'/>`);
      await inbox.next(({ name, ns }) => name === 'open' && ns === framing);
    },
    send: (xml) => socket.send(xml),
    end: () => socket.send(`<close xmlns='${framing}'/>`),
    cut: async () => {
      inbox.end('cut off');
      socket.close(); // ejabberd does not answer it, so there is no reply to wait for
    },
    closed,
  };
}
