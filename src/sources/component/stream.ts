/**
 * One connection of a component to its server (XEP-0114), from dial to end:
 *
 *   dialing → opening (our header is out) → proving (the handshake is out) → up → ended
 *
 * An end is told once, whatever caused it. Written on plain sockets with our own framing, since the common libraries
 * decode each read on its own (characters split over two reads break), know no stanza size limit and no keepalive.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Clock, Timers } from '../../kit/clock.ts';
import { dialTcp, type Resolve } from '../../kit/dial-tcp.ts';
import { messageOf, ServiceError, toError } from '../../kit/errors.ts';
import type { Secret } from '../../kit/secret.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, escapeText, findChild, toXml } from '../../packet/xml/element.ts';
import { watchSilence } from './silence.ts';
import { createStanzaReader, type Unreadable } from './stanza-reader.ts';

export interface StreamOptions {
  readonly service: { readonly host: string; readonly port: number };
  /** Default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  readonly domain: string;
  readonly secret: Secret;
  readonly maxStanzaBytes: number;
  /** Bounds everything up to the accepted handshake. */
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Who is pinged: a host of the server. */
  readonly pingTo: string;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Why a stream ended. `occupied`: another connection is that component. `refused`: trying again soon would meet the same answer. */
export type StreamEnd =
  | { readonly kind: 'closed'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'occupied'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface StreamListener {
  onUp(): void;
  onStanza(stanza: Stanza, bytes: number): void;
  /** Called for a stanza that is unreadable or too large. A user can cause one, so it must not end the stream. */
  onUnreadable(unreadable: Unreadable): void;
  onRead(bytes: number): void;
  onEnd(end: StreamEnd): void;
}

export interface ComponentStream {
  send(xml: string): void;
  /** Stops and restarts the reading. */
  pause(): void;
  resume(): void;
  /** Ends the stream from our side; `onEnd` is told why. */
  close(why?: StreamEnd): void;
}

const streamsNs = 'http://etherx.jabber.org/streams';
const conditionsNs = 'urn:ietf:params:xml:ns:xmpp-streams';
const pingNs = 'urn:xmpp:ping';

export function openStream(options: StreamOptions, listener: StreamListener): ComponentStream {
  const { domain, timers } = options;
  let state: 'dialing' | 'ended' | 'opening' | 'proving' | 'up' = 'dialing';
  let socket: Socket | undefined;
  let pings = 0;

  const reader = createStanzaReader({
    maxStanzaBytes: options.maxStanzaBytes,
    onOpen: opened,
    onStanza: received,
    onUnreadable: unreadable,
    onClose: () => end({ kind: 'closed', reason: 'the server closed the stream' }),
  });
  const silence = watchSilence(options, {
    ask: ping,
    giveUp: (ms) =>
      end({
        kind: 'failed',
        reason: reader.skipping
          ? `a stanza that exceeds max_stanza_bytes (${options.maxStanzaBytes}) has not ended within ${ms} ms`
          : `the server has been silent for ${ms} ms and does not answer a ping`,
      }),
  });
  const callOffDeadline = timers.after(options.connectTimeoutMs, () =>
    end({ kind: 'failed', reason: `not attached within ${options.connectTimeoutMs} ms (stopped while ${state})` }),
  );

  const dialling = dialTcp({ ...options.service, resolve: options.resolve }, (error, dialled) => {
    if (error === undefined) connected(dialled);
    else end({ kind: 'failed', reason: messageOf(error) });
  });

  function connected(dialled: Socket): void {
    socket = dialled;
    state = 'opening';
    dialled.setNoDelay(true);
    dialled.on('data', read);
    dialled.on('error', (error) => end({ kind: 'failed', reason: messageOf(error) }));
    dialled.on('close', () => end({ kind: 'closed', reason: 'the connection was closed' }));
    dialled.write(
      `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='${streamsNs}' to='${escapeText(domain)}'>`,
    );
  }

  function read(chunk: Buffer): void {
    if (state === 'ended') return;
    listener.onRead(chunk.length);
    try {
      reader.push(chunk);
      if (!reader.skipping) silence.heard(); // an endless stanza does not count as activity
    } catch (thrown) {
      fail(toError(thrown));
    }
  }

  function opened(stream: Stanza): void {
    state = 'proving';
    const proof = createHash('sha1')
      .update(`${stream.attrs['id'] ?? ''}${options.secret.reveal()}`)
      .digest('hex');
    socket?.write(`<handshake>${proof}</handshake>`);
  }

  function received(stanza: Stanza, bytes: number): void {
    if (state === 'ended') return; // what stood behind the end in the same read
    if (stanza.ns === streamsNs) end(endOf(stanza, { domain, wasUp: state === 'up' }));
    else if (state === 'proving') proved(stanza);
    else if (!answersPing(stanza)) listener.onStanza(stanza, bytes);
  }

  function unreadable(about: Unreadable): void {
    if (state === 'ended') return;
    if (state !== 'up') throw new ServiceError('STREAM_INVALID', `the server's answer to the handshake cannot be read (${about.reason})`);
    listener.onUnreadable(about);
  }

  function proved(stanza: Stanza): void {
    if (stanza.name !== 'handshake')
      throw new ServiceError('STREAM_INVALID', `expected <handshake/> from the server, received <${stanza.name}>`);
    state = 'up';
    callOffDeadline();
    silence.start();
    listener.onUp();
  }

  function ping(): void {
    pings += 1;
    send(
      toXml(element('iq', { type: 'get', id: `ping-${pings}`, from: domain, to: options.pingTo }, [element('ping', { xmlns: pingNs })])),
    );
  }

  /** Any answer will do, an error too: what counts is that somebody is there. */
  function answersPing({ name, attrs }: Stanza): boolean {
    return name === 'iq' && attrs['id']?.startsWith('ping-') === true && (attrs['type'] === 'result' || attrs['type'] === 'error');
  }

  function send(xml: string): void {
    if (state === 'up') socket?.write(xml);
  }

  function fail(error: Error): void {
    const condition = error instanceof ServiceError && error.code === 'STANZA_TOO_LARGE' ? 'policy-violation' : 'not-well-formed';
    if (state !== 'ended') socket?.write(`<stream:error><${condition} xmlns='${conditionsNs}'/></stream:error>`);
    end({ kind: 'failed', reason: error.message });
  }

  function end(reason: StreamEnd): void {
    if (state === 'ended') return;
    state = 'ended';
    callOffDeadline();
    silence.stop();
    dialling.cancel();
    socket?.end('</stream:stream>');
    timers.after(1000, () => socket?.destroy());
    listener.onEnd(reason);
  }

  return {
    send,
    pause: () => {
      silence.stop();
      socket?.pause();
    },
    resume: () => {
      if (state === 'up') silence.start();
      socket?.resume();
    },
    close: (why = { kind: 'closed', reason: 'closed by us' }) => end(why),
  };
}

/** A stream error as an end. RFC 6120 §4.9. */
function endOf(error: Stanza, { domain, wasUp }: { readonly domain: string; readonly wasUp: boolean }): StreamEnd {
  const condition =
    error.children.find((child): child is Stanza => typeof child !== 'string' && child.ns === conditionsNs && child.name !== 'text')
      ?.name ?? 'undefined-condition';
  const text = findChild(error, 'text', conditionsNs)?.text() ?? '';
  const said = text === '' ? condition : `${condition} (${text})`;
  switch (condition) {
    case 'not-authorized':
      return {
        kind: 'refused',
        reason: `the server refuses the secret of ${domain}: ${said}. Make [attach] secret and the server's component secret the same`,
      };
    case 'conflict':
      // Whoever was up was thrown out for another, and would throw that one out in its turn.
      return wasUp
        ? { kind: 'refused', reason: `another connection of ${domain} took the place of this one: ${said}. Let the server keep the first` }
        : { kind: 'occupied', reason: `another connection holds ${domain}: ${said}` };
    case 'host-unknown':
      return { kind: 'refused', reason: `the server knows no component ${domain}: ${said}. Add it to the server's configuration` };
    default:
      return { kind: 'failed', reason: `stream error: ${said}` };
  }
}
