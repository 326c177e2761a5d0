import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Stanza } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { Framer } from '../../src/packet/xml/frame.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

/**
 * A server that accepts bob's login (or none) and otherwise sends only the stanzas of the test: no archive unless the test
 * answers for it, no rooms, no acknowledgements. Requests that the test does not answer get an error.
 */
export interface ScriptedAccountServer extends AsyncDisposable {
  readonly port: number;
  /** Connections since the start. */
  readonly connections: number;
  /** Stanzas that the account has sent after its login. */
  readonly received: readonly Stanza[];
  /** Sends to all connected clients. */
  send(xml: string | Uint8Array): void;
  /** From now on no request is answered, as by a dead peer. */
  fallSilent(): void;
  hangUp(): void;
}

export interface Script {
  /** Offers `<session/>` without `<optional/>` and drops stanzas before the session request, as MongooseIM does. Default false. */
  readonly insistsOnSession?: boolean;
  /** Refuses every login with this condition. */
  readonly refuses?: string;
  /** Answers a request; undefined means that it is not supported. An `<error/>` is sent as an error. `send` sends before the answer. */
  readonly answer?: (iq: Stanza, send: (xml: string) => void) => string | undefined;
}

const streamsNs = 'http://etherx.jabber.org/streams';
const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl';
const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind';
const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session';
const jid = 'bob@localhost/pusher';

export async function startScriptedAccountServer({
  insistsOnSession = false,
  refuses,
  answer = () => undefined,
}: Script = {}): Promise<ScriptedAccountServer> {
  const sockets = new Set<Socket>();
  const received: Stanza[] = [];
  let connections = 0;
  let silent = false;

  function accept(socket: Socket): void {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined); // the account has gone
    let loggedIn = false;
    let hasSession = !insistsOnSession;
    let framer = frame();
    socket.on('data', (chunk) => framer.push(chunk));

    function frame(): Framer {
      return new Framer({
        maxStanzaBytes: 1_000_000,
        onOpen: () => {
          const offer = loggedIn
            ? `<bind xmlns='${bindNs}'/>${insistsOnSession ? `<session xmlns='${sessionNs}'/>` : ''}`
            : `<mechanisms xmlns='${saslNs}'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>`;
          socket.write(
            `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='${streamsNs}' version='1.0' from='localhost' id='s'><stream:features>${offer}</stream:features>`,
          );
        },
        onStanza: (bytes) => heard(parseStanza(bytes, { namespaces: { '': 'jabber:client', stream: streamsNs } })),
        onClose: () => socket.end(),
      });
    }

    function heard(stanza: Stanza): void {
      if (stanza.ns === saslNs) return logIn(stanza);
      const { id = '', type } = stanza.attrs;
      if (findChild(stanza, 'bind', bindNs) !== undefined)
        return void socket.write(`<iq type='result' id='${id}'><bind xmlns='${bindNs}'><jid>${jid}</jid></bind></iq>`);
      if (findChild(stanza, 'session', sessionNs) !== undefined) {
        hasSession = true;
        return void socket.write(`<iq type='result' id='${id}'/>`);
      }
      if (!hasSession) return;
      received.push(stanza);
      if (silent) return;
      if (stanza.name !== 'iq' || (type !== 'get' && type !== 'set')) return;
      const from = stanza.attrs['to'] === undefined ? '' : ` from='${stanza.attrs['to']}'`;
      const payload = answer(stanza, (xml) => void socket.write(xml));
      const unoffered = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
      const kind = payload === undefined || payload.startsWith('<error') ? 'error' : 'result';
      socket.write(`<iq type='${kind}' id='${id}'${from} to='${jid}'>${payload ?? unoffered}</iq>`);
    }

    /** RFC 5802, as far as is visible to a client that does not verify the server's signature. */
    function logIn(stanza: Stanza): void {
      if (refuses !== undefined) return void socket.write(`<failure xmlns='${saslNs}'><${refuses}/></failure>`);
      if (stanza.name === 'response') {
        loggedIn = true;
        framer = frame();
        return void socket.write(`<success xmlns='${saslNs}'/>`);
      }
      const nonce = /r=([^,]*)/.exec(Buffer.from(stanza.text(), 'base64').toString())?.[1] ?? '';
      const challenge = Buffer.from(`r=${nonce}ours,s=${Buffer.from('salt').toString('base64')},i=1`).toString('base64');
      socket.write(`<challenge xmlns='${saslNs}'>${challenge}</challenge>`);
    }
  }

  const server = createServer(accept);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    received,
    send: (xml) => {
      for (const socket of sockets) socket.write(xml);
    },
    fallSilent: () => {
      silent = true;
    },
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
