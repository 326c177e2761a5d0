/**
 * The component listener of a chat server with a tap and nothing else: XEP-0114 and the protocol `urn:x-event-pusher:tap:1`
 * from the server's side. The demo uses it if no chat server is available, and the tests control with it exactly what is
 * sent and when.
 */
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Stanza } from '../src/model/packet.ts';
import { element, escapeAttribute, findChild, toXml } from '../src/packet/xml/element.ts';
import { Framer } from '../src/packet/xml/frame.ts';
import { parseStanza } from '../src/packet/xml/parse.ts';
import { tapNs } from '../src/sources/component/tap-item.ts';

export interface TapServerOptions {
  readonly host: string;
  readonly domain: string;
  readonly secret: string;
  /** Maximum number of items sent and not yet acknowledged. */
  readonly window?: number;
  readonly port?: number;
  /** The reported queue limit; default: none, like an older tap. */
  readonly queueBytes?: number;
  /** The node name of the server, default `scripted`. */
  readonly node?: string;
  /** False: pings are not answered, as by a dead peer. */
  readonly answersPings?: boolean;
}

/** The attributes of a tap item. */
export interface TapMarks {
  readonly dir: string;
  readonly session?: string;
  readonly sessions?: number;
  readonly sender?: string;
  readonly status?: string;
  readonly event?: string;
  /** `false` on the copy of a room's message for an absent member. */
  readonly occupant?: boolean;
  readonly stamp?: string;
  /** Why the tap left out the stanza of this item. */
  readonly reason?: string;
  readonly bytes?: number;
}

const streamsNs = 'http://etherx.jabber.org/streams';

export async function startTapServer(options: TapServerOptions): Promise<TapServer> {
  const server = new TapServer(options);
  await server.listen(options.port ?? 0);
  return server;
}

export class TapServer {
  readonly #options: TapServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #received: Stanza[] = [];
  /** Items that are not acknowledged, by sequence number. */
  readonly #queue = new Map<number, string>();
  #epoch = 'e1';
  #lastSeq = 0;
  #acked = 0;
  #sent = 0;
  #attached: Socket | undefined;
  /** The last authenticated connection; used by feeds that do not resume. */
  #connected: Socket | undefined;
  /** False: answers a resume with an error, like a host without the module. */
  tapEnabled = true;
  /** True: answers a resume like a tap that feeds another pusher. */
  occupied = false;

  constructor(options: TapServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The last acknowledged sequence number. */
  get acked(): number {
    return this.#acked;
  }

  /** Whether an authenticated component is connected. */
  get connected(): boolean {
    return this.#connected !== undefined;
  }

  /** Stanzas from pushers, oldest first. */
  get received(): readonly Stanza[] {
    return this.#received;
  }

  /** Queues a stanza and returns its sequence number. It is sent when a pusher has resumed and the window permits. */
  push(stanzaXml: string, marks: TapMarks): number {
    const { host, domain } = this.#options;
    this.#lastSeq += 1;
    this.#queue.set(this.#lastSeq, wrap(stanzaXml, marks, { host, domain, epoch: this.#epoch, seq: this.#lastSeq }));
    this.#flush();
    return this.#lastSeq;
  }

  /** Sends bytes unchanged to the attached pusher. */
  sendRaw(bytes: Buffer | string): void {
    (this.#attached ?? this.#connected)?.write(bytes);
  }

  /** Drops the queue and begins a new epoch, like a restarted chat server. */
  loseQueue(epoch: string): void {
    this.#epoch = epoch;
    this.#queue.clear();
    this.#lastSeq = 0;
    this.#acked = 0;
    this.#sent = 0;
  }

  /** Drops items from the head of the queue, like a full queue. */
  dropOldest(count: number): void {
    for (const seq of [...this.#queue.keys()].slice(0, count)) this.#queue.delete(seq);
  }

  /** Ends the connections and keeps the queue. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#attached = undefined;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const streamId = `stream-${this.#sockets.size}`;
    const header = `xmlns='jabber:component:accept' xmlns:stream='${streamsNs}' from='${this.#options.domain}' id='${streamId}'`;
    let authenticated = false;
    const framer = new Framer({
      maxStanzaBytes: 10_000_000,
      onOpen: () => socket.write(`<?xml version='1.0'?><stream:stream ${header}>`),
      onStanza: (bytes) => {
        const stanza = parseStanza(bytes, { namespaces: { '': 'jabber:component:accept', stream: streamsNs } });
        this.#received.push(stanza);
        if (authenticated) this.#answer(socket, stanza);
        else authenticated = this.#authenticate(socket, stanza, streamId);
        if (authenticated) this.#connected = socket;
      },
      onClose: () => socket.end('</stream:stream>'),
    });
    socket.on('data', (chunk) => framer.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#attached === socket) this.#attached = undefined;
      if (this.#connected === socket) this.#connected = undefined;
    });
  }

  #authenticate(socket: Socket, stanza: Stanza, streamId: string): boolean {
    const digest = createHash('sha1').update(`${streamId}${this.#options.secret}`).digest('hex');
    if (stanza.name === 'handshake' && stanza.text() === digest) {
      socket.write('<handshake/>');
      return true;
    }
    socket.end("<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
    return false;
  }

  #answer(socket: Socket, stanza: Stanza): void {
    const resume = findChild(stanza, 'resume', tapNs);
    const ack = findChild(stanza, 'ack', tapNs);
    const { answersPings = true } = this.#options;
    if (resume !== undefined) this.#resume(socket, stanza, resume);
    else if (ack !== undefined) this.#acknowledge(socket, stanza, ack);
    else if (answersPings && findChild(stanza, 'ping', 'urn:xmpp:ping') !== undefined) this.#reply(socket, stanza, []);
    this.#flush();
  }

  #resume(socket: Socket, iq: Stanza, { attrs }: Stanza): void {
    if (!this.tapEnabled) return this.#refuse(socket, iq, { type: 'cancel', condition: 'service-unavailable' });
    if (this.occupied) return this.#refuse(socket, iq, { type: 'wait', condition: 'conflict' });
    this.#removeAcknowledged(Number(attrs['h']), attrs['epoch']);
    this.#attached = socket;
    const [from = this.#lastSeq + 1] = this.#queue.keys();
    this.#sent = from - 1;
    const { node = 'scripted' } = this.#options;
    const resumed = { xmlns: tapNs, epoch: this.#epoch, node, 'from-seq': from, dropped: 0, ...this.#fillLevel() };
    this.#reply(socket, iq, [element('resumed', resumed)]);
  }

  #acknowledge(socket: Socket, iq: Stanza, { attrs }: Stanza): void {
    this.#removeAcknowledged(Number(attrs['h']), attrs['epoch']);
    const isReported = attrs['report'] === 'queue' && this.#options.queueBytes !== undefined;
    if (isReported) this.#reply(socket, iq, [element('queue', { xmlns: tapNs, ...this.#fillLevel() })]);
  }

  #fillLevel(): Readonly<Record<string, number | undefined>> {
    const { queueBytes } = this.#options;
    const bytes = [...this.#queue.values()].reduce((sum, { length }) => sum + length, 0);
    return queueBytes === undefined ? { pending: this.#queue.size } : { pending: this.#queue.size, bytes, 'max-bytes': queueBytes };
  }

  #refuse(socket: Socket, iq: Stanza, { type, condition }: { readonly type: string; readonly condition: string }): void {
    const error = element('error', { type }, [element(condition, { xmlns: 'urn:ietf:params:xml:ns:xmpp-stanzas' })]);
    this.#reply(socket, iq, [error], 'error');
  }

  #reply(socket: Socket, iq: Stanza, children: readonly Stanza[], type = 'result'): void {
    const { host: from, domain: to } = this.#options;
    socket.write(toXml(element('iq', { type, id: iq.attrs['id'], from, to }, children)));
  }

  #removeAcknowledged(h: number, epoch: string | undefined): void {
    if (epoch !== this.#epoch) return;
    for (const seq of this.#queue.keys()) {
      if (seq > h) break;
      this.#queue.delete(seq);
    }
    this.#acked = Math.max(this.#acked, h);
  }

  #flush(): void {
    const { window = 2000 } = this.#options;
    while (this.#attached !== undefined && this.#sent < this.#lastSeq && this.#sent < this.#acked + window) {
      this.#sent += 1;
      const xml = this.#queue.get(this.#sent);
      if (xml !== undefined) this.#attached.write(xml);
    }
  }
}

interface ItemPosition {
  readonly host: string;
  readonly domain: string;
  readonly epoch: string;
  readonly seq: number;
}

/** A tap item that contains a stanza. */
export function wrap(stanzaXml: string, marks: TapMarks, { host, domain, epoch, seq }: ItemPosition): string {
  const attribute = ([name, value]: readonly [string, number | string]) => ` ${name}='${escapeAttribute(String(value))}'`;
  const attributes = Object.entries(marks).map(attribute).join('');
  const tap = `<tap xmlns='${tapNs}' seq='${seq}' epoch='${epoch}'${attributes}/>`;
  return `<message from='${host}' to='${domain}' id='tap-${seq}'>${tap}<forwarded xmlns='urn:xmpp:forward:0'>${stanzaXml}</forwarded></message>`;
}
