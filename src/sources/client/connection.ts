/**
 * One connection of an account to its server, on @xmpp/client, from dial to end:
 *
 *   negotiating (dialling, login, then binding or resumption) → up → ended
 *
 * The library logs in, binds and keeps the counts of XEP-0198. The socket, the parser, the reconnects and the keepalive are
 * ours: the library does not support custom certificates, decodes each read on its own, retries every second without end,
 * and rejects messages while it is offline. The end is reported once, with the first cause.
 */
import { type Client, client, type Element, type StreamManagement, type Transport, xml } from '@xmpp/client';
import type { ClientAttachment } from '../../config/service-config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { messageOf, ServiceError, toError } from '../../kit/errors.ts';
import type { Stanza } from '../../model/packet.ts';
import { findChild } from '../../packet/xml/element.ts';
import { describeSilence, Keepalive, type StreamEnd, type Unreadable } from '../xmpp-stream.ts';
import { LibraryParser } from './parser.ts';
import { ClientSocket, tlsNs } from './socket.ts';

/** The state of a stream that the next connection needs to resume it (XEP-0198 §5). */
export interface Resumption {
  readonly id: string;
  readonly inbound: number;
  readonly outbound: number;
  readonly queue: readonly { readonly stanza: Element }[];
}

export interface ConnectionOptions {
  readonly attachment: ClientAttachment;
  readonly resumption: Resumption | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
}

interface ConnectionListener {
  /** `resumed`: the previous stream continues; unacknowledged stanzas have been sent again. */
  onUp(resumed: boolean): void;
  onStanza(stanza: Stanza, bytes: number): void;
  onUnreadable(unreadable: Unreadable): void;
  onRead(bytes: number): void;
  /** The server has been silent for the ping interval: send a request. */
  onSilence(): void;
  /** The server has acknowledged a stanza; or never will, because its stream cannot be resumed. */
  onOutcome(sent: Element, outcome: 'acknowledged' | 'lost'): void;
  onEnd(end: StreamEnd, resumption: Resumption | undefined): void;
}

/** Time for the server to close the stream too, ms. */
const closeTimeoutMs = 1000;

const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session';
/** Any address of the form that the library's TCP transport accepts; our socket ignores it. */
const service = 'xmpp://ours';

/** Dials when it is constructed. */
export class ClientConnection {
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #socket: ClientSocket;
  readonly #entity: Client;
  readonly #keepalive: Keepalive;
  readonly #cancelDeadline: () => void;
  #state: 'ended' | 'negotiating' | 'up' = 'negotiating';
  #parser: LibraryParser | undefined;
  /** What arrived in the same read as the end of the negotiation. */
  #early: (() => void)[] = [];
  #sessionRequired = false;

  constructor(options: ConnectionOptions, listener: ConnectionListener) {
    const { attachment, timers } = options;
    const { pingIntervalMs, pingTimeoutMs, connectTimeoutMs, jid } = attachment;
    this.#options = options;
    this.#listener = listener;
    this.#socket = new ClientSocket({ ...attachment, domain: jid.domain });
    this.#entity = client({
      service,
      domain: jid.domain,
      username: jid.user,
      password: attachment.password.reveal(),
      resource: attachment.resource,
      timeout: connectTimeoutMs,
    });
    this.#keepalive = new Keepalive({
      ...options,
      pingIntervalMs,
      pingTimeoutMs,
      ping: () => listener.onSilence(),
      onDead: (ms) => this.#fail(describeSilence(ms, { skipping: this.#skipping, maxStanzaBytes: attachment.maxStanzaBytes })),
    });
    this.#cancelDeadline = timers.after(connectTimeoutMs, () => this.#fail(`not logged in within ${connectTimeoutMs} ms`));
    this.#adaptLibrary();
    this.#listen();
    this.#connect().catch((thrown: unknown) => this.#end(endByError(toError(thrown), attachment)));
  }

  /** Whether the server acknowledges stanzas (XEP-0198). */
  get acknowledges(): boolean {
    return this.#entity.streamManagement.enabled;
  }

  send(sent: Element): void {
    if (this.#state === 'up') this.#entity.send(sent).catch(() => undefined); // the end of the connection gives the reason
  }

  /** Stops reading. */
  pause(): void {
    this.#keepalive.stop();
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    if (this.#state === 'up') this.#keepalive.start();
    this.#socket.resume();
  }

  close(): void {
    this.#end({ kind: 'closed', reason: 'closed by us' });
  }

  get #skipping(): boolean {
    return this.#parser?.skipping === true;
  }

  #adaptLibrary(): void {
    const entity = this.#entity;
    entity.reconnect.stop();
    entity.transports = [this.#createTransport()];
    entity._onData = (data) => {
      this.#listener.onRead(data.length);
      entity.parser?.write(data);
      if (!this.#skipping) this.#keepalive.heard(); // an endless stanza does not count as activity
    };
    const bind = entity.iqCaller.set.bind(entity.iqCaller);
    entity.iqCaller.set = async (request) => {
      const bound = await bind(request);
      if (this.#sessionRequired) await bind(xml('session', { xmlns: sessionNs }));
      return bound;
    };
    entity.streamManagement.timeout = 0; // our pings detect a dead server
    entity.streamManagement.requestAckInterval = 0;
    restore(entity.streamManagement, this.#options.resumption);
  }

  /** The library's TCP transport with our socket and parser. */
  #createTransport(): Transport {
    const tcp = this.#entity.transports.find(({ prototype }) => accepts(prototype, service));
    if (tcp === undefined) throw new ServiceError('SERVICE_FAILED', '@xmpp/client has no transport over TCP');
    const socket = this.#socket;
    const createParser = () => this.#createParser();
    const own = {
      Socket: function Socket() {
        return socket;
      },
      Parser: function Parser() {
        return createParser();
      },
      socketParameters: () => ({}),
    };
    return { prototype: Object.assign(Object.create(tcp.prototype), own) };
  }

  #listen(): void {
    const management = this.#entity.streamManagement;
    this.#entity.on('error', (error) => this.#end(endByError(toError(error), this.#options.attachment)));
    this.#entity.on('online', () => this.#up(false));
    this.#entity.on('disconnect', () => this.#end({ kind: 'closed', reason: 'the connection was closed' }));
    management.on('resumed', () => this.#up(true));
    management.on('ack', (stanza) => this.#listener.onOutcome(stanza, 'acknowledged'));
    management.on('fail', (stanza) => this.#listener.onOutcome(stanza, 'lost'));
  }

  async #connect(): Promise<void> {
    await this.#entity.connect(service);
    await this.#entity.open({ domain: this.#options.attachment.jid.domain });
  }

  #createParser(): LibraryParser {
    const listener = this.#listener;
    this.#parser = new LibraryParser(this.#options.attachment.maxStanzaBytes, {
      onStanza: (stanza, bytes) => this.#whenUp(() => listener.onStanza(stanza, bytes)),
      onUnreadable: (unreadable) => this.#whenUp(() => listener.onUnreadable(unreadable)),
      onNonza: (nonza) => this.#negotiated(nonza),
      onBroken: (error) => this.#fail(error.message),
    });
    return this.#parser;
  }

  #whenUp(act: () => void): void {
    if (this.#state === 'up') act();
    else if (this.#state === 'negotiating') this.#early.push(act);
  }

  #negotiated(nonza: Stanza): void {
    const { attachment } = this.#options;
    const session = findChild(nonza, 'session', sessionNs);
    // A server of RFC 3921 drops stanzas before a session is requested, and the library does not request one.
    if (session !== undefined) this.#sessionRequired = findChild(session, 'optional', sessionNs) === undefined;
    const starttls = findChild(nonza, 'starttls', tlsNs);
    if (attachment.encryption !== 'plain' || starttls === undefined || findChild(starttls, 'required', tlsNs) === undefined) return;
    this.#end({ kind: 'refused', reason: `the server requires encryption: add a table [attach.${attachment.name}.tls]` });
  }

  #up(resumed: boolean): void {
    if (this.#state !== 'negotiating') return;
    this.#state = 'up';
    this.#cancelDeadline();
    this.#keepalive.start();
    this.#listener.onUp(resumed);
    const early = this.#early;
    this.#early = [];
    for (const act of early) act();
  }

  #fail(reason: string): void {
    this.#end({ kind: 'failed', reason });
  }

  #end(end: StreamEnd): void {
    if (this.#state === 'ended') return;
    const resumption = this.#resumptionAfter(end);
    this.#state = 'ended';
    this.#cancelDeadline();
    this.#keepalive.stop();
    this.#entity.streamManagement.outbound_q = []; // it belongs to the next connection, or is lost, and is not reported again
    this.#entity.timeout = closeTimeoutMs;
    this.#entity.disconnect().catch(() => undefined); // it is closed, or destroyed below
    this.#options.timers.after(closeTimeoutMs, () => this.#socket.destroy());
    this.#listener.onEnd(end, resumption);
  }

  /** The stream that the next connection may resume: this one; or, if it was never up, the previous one unless the server has dropped it. */
  #resumptionAfter({ kind }: StreamEnd): Resumption | undefined {
    const { id, inbound, outbound, outbound_q: queue } = this.#entity.streamManagement;
    if (kind === 'refused' || kind === 'occupied' || id === '') return undefined;
    return this.#state === 'up' ? { id, inbound, outbound, queue } : this.#options.resumption;
  }
}

function accepts(prototype: { socketParameters(service: string): unknown }, address: string): boolean {
  try {
    return prototype.socketParameters(address) !== undefined;
  } catch {
    return false; // the WebSocket transport throws for other addresses
  }
}

function restore(management: StreamManagement, resumption: Resumption | undefined): void {
  if (resumption === undefined) return;
  const { id, inbound, outbound, queue } = resumption;
  Object.assign(management, { id, inbound, outbound, outbound_q: [...queue] });
}

/** The end of a connection by an error, with the remedy. `occupied`: another resource would succeed. */
function endByError(
  error: Error & { readonly code?: unknown; readonly condition?: unknown },
  { name, jid: { user, domain }, resource }: ClientAttachment,
): StreamEnd {
  const key = `[attach.${name}]`;
  const condition = typeof error.condition === 'string' ? error.condition : undefined;
  if (error instanceof ServiceError && error.code === 'ATTACH_REFUSED') return { kind: 'refused', reason: error.message };
  if (error.name === 'SASLError') {
    const answer = condition ?? error.message;
    if (answer === 'temporary-auth-failure') return { kind: 'failed', reason: `the login failed temporarily: ${answer}` };
    return { kind: 'refused', reason: `the server refuses the login of ${user}@${domain}: ${answer}. Check ${key} jid and password` };
  }
  if (isCertificateError(error)) {
    return { kind: 'refused', reason: `the certificate of ${domain} is not accepted: ${error.message}. See ${key} tls.cacertfile` };
  }
  switch (condition) {
    case 'host-unknown':
      return { kind: 'refused', reason: `the server does not serve ${domain}. Check ${key} jid and service` };
    case 'conflict':
      return { kind: 'occupied', reason: `another client has taken the resource "${resource}" of ${user}@${domain}` };
    default:
      return { kind: 'failed', reason: condition === undefined ? messageOf(error) : `stream error: ${condition}` };
  }
}

/** Node's codes for certificates: those of OpenSSL's verification, and its own for a name that does not match. */
function isCertificateError({ code }: { readonly code?: unknown }): boolean {
  return typeof code === 'string' && /CERT|SIGNATURE|ERR_TLS_/.test(code);
}
