import type { Stanza } from '../../src/model/packet.ts';
import { escapeAttribute, escapeText, findChild } from '../../src/packet/xml/element.ts';
import { openBosh } from './bosh-transport.ts';
import type { Inbox } from './inbox.ts';
import { openTcpStream } from './tcp-stream.ts';
import { openWebSocket } from './websocket-transport.ts';

/** A logged-in client. It uses SASL PLAIN over a loopback connection without TLS, which takes a few milliseconds. */
export interface XmppUser extends AsyncDisposable {
  readonly jid: string;
  readonly bare: string;
  /** All stanzas received since the login. */
  readonly received: readonly Stanza[];
  send(xml: string): void;
  /** Sends a chat message; `extra` is additional XML in it. Returns its id. */
  sendChat(to: string, body: string, extra?: string): string;
  /** Sends an iq, by default to the user's own account, and returns the response. `type` is `set` by default. */
  ask(payload: string, to?: string, type?: 'get' | 'set'): Promise<Stanza>;
  /** The first received stanza that `matches` and was not returned before, now or later. */
  next(matches?: (stanza: Stanza) => boolean, withinMs?: number): Promise<Stanza>;
  /** Ends the stream as a client does and waits until the server has ended it too. */
  close(): Promise<void>;
  /** Cuts the connection without notice. Over BOSH it only stops its requests. */
  cut(): Promise<void>;
}

export interface UserLogin {
  /** The port of the client listener (TCP) or of the HTTP server (BOSH, WebSocket). */
  readonly port: number;
  /** The virtual host, default `localhost`. */
  readonly host?: string;
  readonly user: string;
  /** Default `pw`. */
  readonly password?: string;
  readonly resource?: string;
  readonly transport?: 'bosh' | 'tcp' | 'websocket';
  /** Whether to send initial presence, default true. */
  readonly available?: boolean;
  /** The lost stream to resume (XEP-0198 §5), instead of a new resource. None of its stanzas was acknowledged. */
  readonly resumes?: { readonly jid: string; readonly id: string };
}

/** A transport to a server: XML in, stanzas out, and a stream that can be reopened after the login. */
export interface Transport {
  readonly inbox: Inbox;
  open(): Promise<void>;
  send(xml: string): void;
  /** Ends the stream. */
  end(): void;
  cut(): Promise<void>;
  readonly closed: Promise<void>;
}

export async function connectUser(login: UserLogin): Promise<XmppUser> {
  const { host = 'localhost', user, available = login.resumes === undefined } = login;
  const transport = await reach(login, host);
  const jid = await logIn(transport, login);
  const first = transport.inbox.all.length;
  let ids = 0;

  function send(xml: string): void {
    // Over BOSH and WebSocket no stream header supplies the namespace.
    transport.send(xml.replace(/^<(iq|message|presence)\b(?! xmlns)/, "<$1 xmlns='jabber:client'"));
  }

  function nextId(): string {
    ids += 1;
    return `${user}-${ids}`;
  }

  async function close(): Promise<void> {
    transport.end();
    await transport.closed;
  }

  const connected: XmppUser = {
    jid,
    bare: `${user}@${host}`,
    get received() {
      return transport.inbox.all.slice(first);
    },
    send,
    sendChat: (to, body, extra = '') => {
      const id = nextId();
      send(`<message to='${escapeAttribute(to)}' type='chat' id='${id}'><body>${escapeText(body)}</body>${extra}</message>`);
      return id;
    },
    ask: (payload, to, type = 'set') => {
      const id = nextId();
      send(`<iq type='${type}' id='${id}'${to === undefined ? '' : ` to='${escapeAttribute(to)}'`}>${payload}</iq>`);
      return transport.inbox.next(({ name, attrs }) => name === 'iq' && attrs['id'] === id);
    },
    next: transport.inbox.next,
    close,
    cut: transport.cut,
    [Symbol.asyncDispose]: transport.cut,
  };
  if (available) {
    send('<presence/>');
    await connected.next(({ name, attrs }) => name === 'presence' && attrs['from'] === jid);
  }
  return connected;
}

function reach({ port, user, transport = 'tcp' }: UserLogin, host: string): Promise<Transport> {
  switch (transport) {
    case 'bosh':
      return openBosh(user, port, host);
    case 'tcp':
      return reachOverTcp(user, port, host);
    case 'websocket':
      return openWebSocket(user, port, host);
    default:
      return transport satisfies never;
  }
}

/** Registers an account on localhost with the password `pw`, before any login (XEP-0077 §3.1). */
export async function registerAccount(user: string, port: number): Promise<void> {
  const stream = await reachOverTcp(user, port, 'localhost');
  await stream.open();
  const query = `<query xmlns='jabber:iq:register'><username>${user}</username><password>pw</password></query>`;
  stream.send(`<iq xmlns='jabber:client' type='set' id='register' to='localhost'>${query}</iq>`);
  const { attrs, xml } = await stream.inbox.next(({ name }) => name === 'iq');
  await stream.cut();
  if (attrs['type'] !== 'result') throw new Error(`${user} cannot register: ${xml}`);
}

async function reachOverTcp(user: string, port: number, host: string): Promise<Transport> {
  const stream = await openTcpStream(user, port);
  const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='${host}'>`;
  return {
    ...stream,
    open: async () => void (await stream.open(header)),
    end: () => stream.send('</stream:stream>'),
  };
}

/** RFC 6120 §6 and §7: PLAIN, then resource binding or resumption. Returns the full JID. */
async function logIn({ inbox, open, send }: Transport, { user, password = 'pw', resource, resumes }: UserLogin): Promise<string> {
  const features = ({ name }: Stanza) => name.endsWith('features');
  await open();
  await inbox.next(features);
  const proof = Buffer.from(`\0${user}\0${password}`).toString('base64');
  send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${proof}</auth>`);
  const verdict = await inbox.next();
  if (verdict.name !== 'success') throw new Error(`${user} cannot log in: ${verdict.xml}`);

  await open();
  await inbox.next(features);
  if (resumes !== undefined) {
    send(`<resume xmlns='urn:xmpp:sm:3' previd='${escapeAttribute(resumes.id)}' h='0'/>`);
    await inbox.next(({ name }) => name === 'resumed');
    return resumes.jid;
  }
  const wanted = resource === undefined ? '' : `<resource>${escapeText(resource)}</resource>`;
  send(`<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${wanted}</bind></iq>`);
  const bound = await inbox.next(({ attrs }) => attrs['id'] === 'bind');
  return findChild(bound, 'bind')?.text('jid') ?? '';
}
