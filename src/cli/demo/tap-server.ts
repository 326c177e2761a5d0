/**
 * A chat server's component listener with a tap behind it, and nothing else of a chat server: XEP-0114 and the protocol
 * `urn:x-event-pusher:tap:1` from the server's side. The demo falls back on it where no chat server can be had, and the
 * tests drive it where they need to say exactly what comes when.
 */
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Stanza } from '../../model/packet.ts';
import { element, escapeAttribute, findChild, toXml } from '../../packet/xml/element.ts';
import { Framer } from '../../packet/xml/frame.ts';
import { parseStanza } from '../../packet/xml/parse.ts';
import { tapNs } from '../../sources/component/tap-item.ts';

export interface TapServerOptions {
  readonly host: string;
  readonly domain: string;
  readonly secret: string;
  /** Items sent and not yet acknowledged, at most. */
  readonly window?: number;
  readonly port?: number;
  /** The queue limits that it reports; default: none, like an older tap. */
  readonly queueBytes?: number;
  /** What the tap calls its server's node, default `scripted`. */
  readonly node?: string;
  /** False: pings are left unanswered, as by a dead peer. */
  readonly answersPings?: boolean;
}

/** What the tap says of a stanza. */
export interface TapMarks {
  readonly dir: string;
  readonly session?: string;
  readonly sessions?: number;
  readonly sender?: string;
  readonly status?: string;
  readonly stamp?: string;
  /** The reason of an item whose stanza the tap left out. */
  readonly reason?: string;
  readonly bytes?: number;
}

export interface TapServer {
  readonly port: number;
  /** The last sequence number acknowledged. */
  readonly acked: number;
  /** Whether an authenticated component is connected. */
  readonly connected: boolean;
  /** Queues a stanza; it is sent as soon as a pusher has resumed and the window allows. Gives its sequence number. */
  push(stanzaXml: string, marks: TapMarks): number;
  /** Sends bytes as they are to whoever is attached. */
  sendRaw(bytes: Buffer | string): void;
  /** What pushers sent, oldest first. */
  readonly received: readonly Stanza[];
  /** Forgets the queue, as a restarted chat server does: a new epoch begins. */
  loseQueue(epoch: string): void;
  /** Drops so many items from the head of the queue, as a full one does. */
  dropOldest(count: number): void;
  /** Answers resumes with an error, as a host without the module does. */
  tapEnabled: boolean;
  /** Answers resumes as a tap does that feeds another pusher. */
  occupied: boolean;
  /** Ends the connections; the queue stays. */
  disconnect(): void;
  close(): Promise<void>;
}

export async function startTapServer(options: TapServerOptions): Promise<TapServer> {
  const { host, domain, secret, node = 'scripted', window = 2000, answersPings = true, queueBytes } = options;
  const received: Stanza[] = [];
  const sockets = new Set<Socket>();
  let epoch = 'e1';
  let lastSeq = 0;
  let acked = 0;
  let sent = 0;
  /** By sequence number: sent or not, but not acknowledged. */
  const queue = new Map<number, string>();
  let attached: Socket | undefined;
  /** The last authenticated connection; feeds that resume nothing are read from it. */
  let connected: Socket | undefined;
  let tapEnabled = true;
  let occupied = false;

  function accept(socket: Socket): void {
    sockets.add(socket);
    const streamId = `stream-${sockets.size}`;
    let authenticated = false;
    const framer = new Framer({
      maxStanzaBytes: 10_000_000,
      onOpen: () =>
        socket.write(
          `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='${domain}' id='${streamId}'>`,
        ),
      onStanza: (bytes) => {
        const stanza = parseStanza(bytes, { namespaces: { '': 'jabber:component:accept', stream: 'http://etherx.jabber.org/streams' } });
        received.push(stanza);
        if (authenticated) answer(socket, stanza);
        else authenticated = proved(socket, stanza, streamId);
        if (authenticated) connected = socket;
      },
      onClose: () => socket.end('</stream:stream>'),
    });
    socket.on('data', (chunk) => framer.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      if (attached === socket) attached = undefined;
      if (connected === socket) connected = undefined;
    });
  }

  function proved(socket: Socket, stanza: Stanza, streamId: string): boolean {
    const proof = createHash('sha1').update(`${streamId}${secret}`).digest('hex');
    const right = stanza.name === 'handshake' && stanza.text() === proof;
    socket.write(
      right ? '<handshake/>' : "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
    );
    if (!right) socket.end();
    return right;
  }

  function answer(socket: Socket, stanza: Stanza): void {
    const resume = findChild(stanza, 'resume', tapNs);
    const ack = findChild(stanza, 'ack', tapNs);
    if (resume !== undefined) resumed(socket, stanza, resume);
    else if (ack !== undefined) acknowledged(socket, stanza, ack);
    else if (answersPings && findChild(stanza, 'ping', 'urn:xmpp:ping') !== undefined) reply(socket, stanza, []);
    flush();
  }

  function resumed(socket: Socket, iq: Stanza, resume: Stanza): void {
    if (!tapEnabled) return refuse(socket, iq, { type: 'cancel', condition: 'service-unavailable' });
    if (occupied) return refuse(socket, iq, { type: 'wait', condition: 'conflict' });
    forget(Number(resume.attrs['h']), resume.attrs['epoch']);
    attached = socket;
    const [from = lastSeq + 1] = queue.keys();
    sent = from - 1;
    reply(socket, iq, [element('resumed', { xmlns: tapNs, epoch, node, 'from-seq': from, dropped: 0, ...fill() })]);
  }

  function acknowledged(socket: Socket, iq: Stanza, { attrs }: Stanza): void {
    forget(Number(attrs['h']), attrs['epoch']);
    if (attrs['report'] === 'queue' && queueBytes !== undefined) reply(socket, iq, [element('queue', { xmlns: tapNs, ...fill() })]);
  }

  function fill(): Readonly<Record<string, number | undefined>> {
    const bytes = [...queue.values()].reduce((sum, { length }) => sum + length, 0);
    return queueBytes === undefined ? { pending: queue.size } : { pending: queue.size, bytes, 'max-bytes': queueBytes };
  }

  function refuse(socket: Socket, iq: Stanza, { type, condition }: { readonly type: string; readonly condition: string }): void {
    const error = element('error', { type }, [element(condition, { xmlns: 'urn:ietf:params:xml:ns:xmpp-stanzas' })]);
    reply(socket, iq, [error], 'error');
  }

  function reply(socket: Socket, iq: Stanza, children: readonly Stanza[], type = 'result'): void {
    socket.write(toXml(element('iq', { type, id: iq.attrs['id'], from: host, to: domain }, children)));
  }

  function forget(h: number, ofEpoch: string | undefined): void {
    if (ofEpoch !== epoch) return;
    for (const seq of queue.keys()) {
      if (seq > h) break;
      queue.delete(seq);
    }
    acked = Math.max(acked, h);
  }

  function flush(): void {
    while (attached !== undefined && sent < lastSeq && sent < acked + window) {
      sent += 1;
      const xml = queue.get(sent);
      if (xml !== undefined) attached.write(xml);
    }
  }

  const server = createServer(accept);
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    get acked() {
      return acked;
    },
    get connected() {
      return connected !== undefined;
    },
    get received() {
      return received;
    },
    get tapEnabled() {
      return tapEnabled;
    },
    set tapEnabled(enabled) {
      tapEnabled = enabled;
    },
    get occupied() {
      return occupied;
    },
    set occupied(elsewhere) {
      occupied = elsewhere;
    },
    push: (stanzaXml, marks) => {
      lastSeq += 1;
      queue.set(lastSeq, wrap(stanzaXml, marks, { host, domain, epoch, seq: lastSeq }));
      flush();
      return lastSeq;
    },
    sendRaw: (bytes) => (attached ?? connected)?.write(bytes),
    loseQueue: (next) => {
      epoch = next;
      queue.clear();
      lastSeq = 0;
      acked = 0;
      sent = 0;
    },
    dropOldest: (count) => {
      for (const seq of [...queue.keys()].slice(0, count)) queue.delete(seq);
    },
    disconnect: () => {
      for (const socket of sockets) socket.destroy();
      attached = undefined;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** A tap item around a stanza. */
export function wrap(
  stanzaXml: string,
  marks: TapMarks,
  { host, domain, epoch, seq }: { readonly host: string; readonly domain: string; readonly epoch: string; readonly seq: number },
): string {
  const attribute = ([name, value]: readonly [string, number | string]) => ` ${name}='${escapeAttribute(String(value))}'`;
  const told = Object.entries(marks).map(attribute).join('');
  const tap = `<tap xmlns='${tapNs}' seq='${seq}' epoch='${epoch}'${told}/>`;
  return `<message from='${host}' to='${domain}' id='tap-${seq}'>${tap}<forwarded xmlns='urn:xmpp:forward:0'>${stanzaXml}</forwarded></message>`;
}
