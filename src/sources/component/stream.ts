/**
 * One connection of a component to its server (XEP-0114), from dial to end:
 *
 *   dialing → opening (our header is sent) → proving (the handshake is sent) → up → ended
 *
 * The end is reported once, with the first cause. Written on plain sockets with our own framing, since the common libraries
 * decode each read on its own (characters split over two reads break), and have no stanza size limit and no keepalive.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Clock, Timers } from '../../kit/clock.ts';
import { type Dialling, dialTcp, type Resolve } from '../../kit/dial-tcp.ts';
import { messageOf, ServiceError, toError } from '../../kit/errors.ts';
import type { Secret } from '../../kit/secret.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, escapeText, findChild, toXml } from '../../packet/xml/element.ts';
import type { Framer } from '../../packet/xml/frame.ts';
import {
  createStanzaReader,
  describeSilence,
  isResponse,
  Keepalive,
  pingElement,
  type StreamEnd,
  streamsNs,
  type Unreadable,
} from '../xmpp-stream.ts';
import type { Outlet } from './feed.ts';
import { tapNs } from './tap-item.ts';

interface StreamOptions {
  readonly service: { readonly host: string; readonly port: number };
  /** Default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  readonly domain: string;
  readonly secret: Secret;
  readonly maxStanzaBytes: number;
  /** Limits the time from dialing to the accepted handshake. */
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** The address that is pinged: a host of the server. */
  readonly pingTo: string;
  readonly clock: Clock;
  readonly timers: Timers;
}

interface StreamListener {
  /** The tap will complete the handshake when the component is free; called repeatedly. Without it, the server refuses at once. */
  onStandby?(): void;
  onUp(): void;
  onStanza(stanza: Stanza, bytes: number): void;
  onUnreadable(unreadable: Unreadable): void;
  onRead(bytes: number): void;
  onEnd(end: StreamEnd): void;
}

const conditionsNs = 'urn:ietf:params:xml:ns:xmpp-streams';
/** Silence of a tap after which a connection on standby counts as dead, ms. A tap sends `<standby/>` every 10 s. */
const standbyTimeoutMs = 30_000;
/** Time between two signs of life while this side does not read, ms. */
const signOfLifeMs = 2000;

/** Dials when it is constructed. */
export class ComponentStream implements Outlet {
  readonly #options: StreamOptions;
  readonly #listener: StreamListener;
  readonly #reader: Framer;
  readonly #keepalive: Keepalive;
  readonly #dialling: Dialling;
  /** The deadline until the stream is up, then the next sign of life. */
  #cancelTimer: () => void = () => undefined;
  #state: 'dialing' | 'ended' | 'opening' | 'proving' | 'up' = 'dialing';
  #socket: Socket | undefined;
  #pings = 0;

  constructor(options: StreamOptions, listener: StreamListener) {
    const { maxStanzaBytes, connectTimeoutMs } = options;
    this.#options = options;
    this.#listener = listener;
    this.#reader = createStanzaReader({
      maxStanzaBytes,
      onOpen: (stream) => this.#sendHandshake(stream),
      onStanza: (stanza, bytes) => this.#received(stanza, bytes),
      onUnreadable: (unreadable) => this.#unreadable(unreadable),
      onClose: () => this.close({ kind: 'closed', reason: 'the server closed the stream' }),
    });
    this.#keepalive = new Keepalive({
      ...options,
      ping: () => this.#ping(),
      onDead: (ms) => this.#fail(describeSilence(ms, { skipping: this.#reader.skipping, maxStanzaBytes })),
    });
    this.#limit(connectTimeoutMs);
    this.#dialling = dialTcp({ ...options.service, resolve: options.resolve }, (error, socket) => {
      if (error === undefined) this.#connected(socket);
      else this.#fail(messageOf(error));
    });
  }

  /** No effect unless the stream is up. */
  send(xml: string): void {
    if (this.#state === 'up') this.#socket?.write(xml);
  }

  /** Stops reading. Signs of life replace the answers to a tap that asks whether this process is frozen. */
  pause(): void {
    this.#keepalive.stop();
    this.#socket?.pause();
    if (this.#state === 'up') this.#signLater();
  }

  /** Reads again. */
  resume(): void {
    if (this.#state === 'up') {
      this.#cancelTimer();
      this.#keepalive.start();
    }
    this.#socket?.resume();
  }

  /** Ends the stream; `onEnd` receives `end`, unless the stream has ended before. */
  close(end: StreamEnd = { kind: 'closed', reason: 'closed by us' }): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#cancelTimer();
    this.#keepalive.stop();
    this.#dialling.cancel();
    this.#socket?.end('</stream:stream>');
    this.#options.timers.after(1000, () => this.#socket?.destroy());
    this.#listener.onEnd(end);
  }

  #limit(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(ms, () => this.#fail(`not attached within ${ms} ms (stopped while ${this.#state})`));
  }

  #signLater(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(signOfLifeMs, () => {
      this.send(toXml(element('iq', { type: 'result', id: 'alive', from: this.#options.domain, to: this.#options.pingTo })));
      this.#signLater();
    });
  }

  #fail(reason: string): void {
    this.close({ kind: 'failed', reason });
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    this.#state = 'opening';
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#fail(messageOf(error)));
    socket.on('close', () => this.close({ kind: 'closed', reason: 'the connection was closed' }));
    const to = escapeText(this.#options.domain);
    socket.write(`<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='${streamsNs}' to='${to}'>`);
  }

  #read(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    this.#listener.onRead(chunk.length);
    try {
      this.#reader.push(chunk);
      if (!this.#reader.skipping) this.#keepalive.heard(); // an endless stanza does not count as activity
    } catch (thrown) {
      this.#rejectStream(toError(thrown));
    }
  }

  #sendHandshake(stream: Stanza): void {
    this.#state = 'proving';
    const proof = createHash('sha1')
      .update(`${stream.attrs['id'] ?? ''}${this.#options.secret.reveal()}`)
      .digest('hex');
    const wait = this.#listener.onStandby === undefined ? '' : ` xmlns:tap='${tapNs}' tap:wait='true'`;
    this.#socket?.write(`<handshake${wait}>${proof}</handshake>`);
  }

  #received(stanza: Stanza, bytes: number): void {
    if (this.#state === 'ended') return; // the rest of the read that contained the end
    if (stanza.ns === streamsNs) this.close(endByError(stanza, { domain: this.#options.domain, wasUp: this.#state === 'up' }));
    else if (this.#state === 'proving') this.#handshakeAnswered(stanza);
    else if (!isPingResponse(stanza)) this.#listener.onStanza(stanza, bytes);
  }

  #unreadable(unreadable: Unreadable): void {
    if (this.#state === 'ended') return;
    if (this.#state !== 'up')
      throw new ServiceError('STREAM_INVALID', `the server's answer to the handshake cannot be read (${unreadable.reason})`);
    this.#listener.onUnreadable(unreadable);
  }

  #handshakeAnswered({ name, ns }: Stanza): void {
    if (ns === tapNs) {
      this.#limit(standbyTimeoutMs);
      return this.#listener.onStandby?.();
    }
    if (name !== 'handshake') throw new ServiceError('STREAM_INVALID', `expected <handshake/> from the server, received <${name}>`);
    this.#state = 'up';
    this.#cancelTimer();
    this.#keepalive.start();
    this.#listener.onUp();
  }

  #ping(): void {
    this.#pings += 1;
    const attrs = { type: 'get', id: `ping-${this.#pings}`, from: this.#options.domain, to: this.#options.pingTo };
    this.send(toXml(element('iq', attrs, [pingElement()])));
  }

  #rejectStream(error: Error): void {
    const condition = error instanceof ServiceError && error.code === 'STANZA_TOO_LARGE' ? 'policy-violation' : 'not-well-formed';
    if (this.#state !== 'ended') this.#socket?.write(`<stream:error><${condition} xmlns='${conditionsNs}'/></stream:error>`);
    this.#fail(error.message);
  }
}

/** Any response counts, an error too: it shows that the server is alive. */
function isPingResponse(stanza: Stanza): boolean {
  return stanza.name === 'iq' && stanza.attrs['id']?.startsWith('ping-') === true && isResponse(stanza);
}

/** The end of a stream by a stream error (RFC 6120 §4.9). */
function endByError(error: Stanza, { domain, wasUp }: { readonly domain: string; readonly wasUp: boolean }): StreamEnd {
  const condition =
    error.children.find((child): child is Stanza => typeof child !== 'string' && child.ns === conditionsNs && child.name !== 'text')
      ?.name ?? 'undefined-condition';
  const text = findChild(error, 'text', conditionsNs)?.text() ?? '';
  const answer = text === '' ? condition : `${condition} (${text})`;
  switch (condition) {
    case 'not-authorized':
      return {
        kind: 'refused',
        reason: `the server refuses the secret of ${domain}: ${answer}. Make [attach] secret and the server's component secret the same`,
      };
    case 'conflict':
      // A connection that was up was closed in favour of another; reconnecting soon would close that one in turn.
      return wasUp
        ? {
            kind: 'refused',
            reason: `another connection of ${domain} took the place of this one: ${answer}. Let the server keep the first`,
          }
        : { kind: 'occupied', reason: `another connection holds ${domain}: ${answer}` };
    case 'host-unknown':
      return { kind: 'refused', reason: `the server knows no component ${domain}: ${answer}. Add it to the server's configuration` };
    default:
      return { kind: 'failed', reason: `stream error: ${answer}` };
  }
}
