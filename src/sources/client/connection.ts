/**
 * One connection of an account to its server, on @xmpp/client, from dial to end:
 *
 *   dialling → negotiating (login, binding or resumption) → up → ended
 *
 * The library logs in, binds and keeps the counts of XEP-0198. The socket, the reading, the waiting between tries and
 * the keepalive are ours: it takes no certificates of ours, splits characters at reads, tries again every second for
 * ever, and throws what is sent while it is down. An end is told once, whatever caused it.
 */
import { client, type Element, type StreamManagement, xml } from '@xmpp/client';
import type { ClientAttachment } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { Stanza } from '../../model/packet.ts';
import { findChild } from '../../packet/xml/element.ts';
import type { StreamEnd, Unreadable } from '../xmpp-stream.ts';
import { Keepalive } from '../xmpp-stream.ts';
import { createStreamReader, type StreamReader } from './reader.ts';
import { refusedBy } from './refusal.ts';
import { createWire } from './wire.ts';

/** What of a stream is kept so that the next connection can resume it (XEP-0198 §5). */
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

export interface ConnectionListener {
  /** `resumed`: the stream before goes on; what was not acknowledged has been sent again. */
  onUp(resumed: boolean): void;
  onStanza(stanza: Stanza, bytes: number): void;
  onUnreadable(unreadable: Unreadable): void;
  onRead(bytes: number): void;
  /** The server has been silent for a while: ask it something. */
  onSilence(): void;
  /** The server has taken this in, or has not and never will (it was of a stream that cannot be resumed). */
  onOutcome(sent: Element, outcome: 'acknowledged' | 'lost'): void;
  onEnd(end: StreamEnd, resumption: Resumption | undefined): void;
}

export interface Connection {
  /** Whether the server acknowledges what is sent. */
  readonly acknowledges: boolean;
  send(sent: Element): void;
  pause(): void;
  resume(): void;
  close(): void;
}

/** The server has this long to say goodbye too, ms. */
const goodbyeMs = 1000;

const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls';
const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session';

export function openConnection(options: ConnectionOptions, listener: ConnectionListener): Connection {
  const { attachment, timers } = options;
  const { user, domain } = attachment.jid;
  let state: 'ended' | 'negotiating' | 'up' = 'negotiating';
  let early: (() => void)[] = [];
  let reading: StreamReader | undefined;
  let wantsSession = false;

  const wire = createWire({ ...attachment, domain });
  const entity = client({
    service: 'xmpp://ours',
    domain,
    username: user,
    password: attachment.password.reveal(),
    resource: attachment.resource,
    timeout: attachment.connectTimeoutMs,
  });
  const management = entity.streamManagement;
  entity.reconnect.stop();
  entity.transports = [ourTransport()];
  entity._onData = (data) => {
    listener.onRead(data.length);
    entity.parser?.write(data);
    if (reading?.skipping !== true) silence.heard(); // an endless stanza does not count as activity
  };
  const bind = entity.iqCaller.set.bind(entity.iqCaller);
  entity.iqCaller.set = async (request) => {
    const bound = await bind(request);
    if (wantsSession) await bind(xml('session', { xmlns: sessionNs }));
    return bound;
  };

  const silence = new Keepalive({
    ...attachmentTimes(options),
    ping: listener.onSilence,
    onDead: (ms) => end({ kind: 'failed', reason: whySilent(ms) }),
  });
  const callOffDeadline = timers.after(attachment.connectTimeoutMs, () =>
    end({ kind: 'failed', reason: `not logged in within ${attachment.connectTimeoutMs} ms` }),
  );

  /** The library's way over TCP, with our socket and our reader in it. */
  function ourTransport() {
    const tcp = entity.transports.find(({ prototype }) => takes(prototype, 'xmpp://ours'));
    if (tcp === undefined) throw new ServiceError('SERVICE_FAILED', '@xmpp/client has no transport over TCP');
    const reader = {
      onStanza: (stanza: Stanza, bytes: number) => whenUp(() => listener.onStanza(stanza, bytes)),
      onUnreadable: (unreadable: Unreadable) => whenUp(() => listener.onUnreadable(unreadable)),
      onNonza: featured,
      onBroken: (error: Error) => end({ kind: 'failed', reason: error.message }),
    };
    const own = {
      Socket: function Socket() {
        return wire;
      },
      Parser: function Parser() {
        reading = createStreamReader(attachment.maxStanzaBytes, reader);
        return reading;
      },
      socketParameters: () => ({}),
    };
    return { prototype: Object.assign(Object.create(tcp.prototype), own) };
  }

  /** What comes in the same read as the end of the negotiation waits for it. */
  function whenUp(act: () => void): void {
    if (state === 'up') act();
    else if (state === 'negotiating') early.push(act);
  }

  function whySilent(ms: number): string {
    const { maxStanzaBytes } = attachment;
    if (reading?.skipping === true) return `a stanza that exceeds max_stanza_bytes (${maxStanzaBytes}) has not ended within ${ms} ms`;
    return `the server has been silent for ${ms} ms and does not answer a ping`;
  }

  /** A server of RFC 3921 drops stanzas before a session is requested, and the library does not request one. */
  function featured(nonza: Stanza): void {
    const session = findChild(nonza, 'session', sessionNs);
    if (session !== undefined) wantsSession = findChild(session, 'optional', sessionNs) === undefined;
    insistOnPlain(nonza);
  }

  function insistOnPlain(nonza: Stanza): void {
    const offered = findChild(nonza, 'starttls', tlsNs);
    if (attachment.encryption !== 'plain' || offered === undefined || findChild(offered, 'required', tlsNs) === undefined) return;
    end({ kind: 'refused', reason: `the server wants encryption: add a table [attach.${attachment.name}.tls]` });
  }

  function up(resumed: boolean): void {
    if (state !== 'negotiating') return;
    state = 'up';
    callOffDeadline();
    silence.start();
    listener.onUp(resumed);
    const missed = early;
    early = [];
    for (const act of missed) act();
  }

  function send(sent: Element): void {
    if (state === 'up') entity.send(sent).catch(() => undefined); // the end of the connection says why
  }

  function end(reason: StreamEnd): void {
    if (state === 'ended') return;
    const wasUp = state === 'up';
    state = 'ended';
    callOffDeadline();
    silence.stop();
    const isOver = reason.kind === 'refused' || reason.kind === 'occupied';
    const resumption = isOver ? undefined : wasUp ? keep(management) : untried(management, options.resumption);
    management.outbound_q = []; // they are the next connection's, or lost, and not to be told of again
    entity.timeout = goodbyeMs;
    entity.disconnect().catch(() => undefined); // it is gone, or goes in a moment
    timers.after(goodbyeMs, wire.destroy);
    listener.onEnd(reason, resumption);
  }

  entity.on('error', (error) => end(refusedBy(toError(error), attachment)));
  entity.on('online', () => up(false));
  entity.on('disconnect', () => end({ kind: 'closed', reason: 'the connection was closed' }));
  management.on('resumed', () => up(true));
  management.on('ack', (stanza) => listener.onOutcome(stanza, 'acknowledged'));
  management.on('fail', (stanza) => listener.onOutcome(stanza, 'lost'));
  management.timeout = 0; // pings of ours find out a dead server
  management.requestAckInterval = 0;
  restore(management, options.resumption);
  connect().catch((thrown: unknown) => end(refusedBy(toError(thrown), attachment)));

  async function connect(): Promise<void> {
    await entity.connect('xmpp://ours');
    await entity.open({ domain });
  }

  return {
    get acknowledges() {
      return management.enabled;
    },
    send,
    pause: () => {
      silence.stop();
      wire.pause();
    },
    resume: () => {
      if (state === 'up') silence.start();
      wire.resume();
    },
    close: () => end({ kind: 'closed', reason: 'closed by us' }),
  };
}

function attachmentTimes({ attachment, clock, timers }: ConnectionOptions) {
  const { pingIntervalMs, pingTimeoutMs } = attachment;
  return { clock, timers, pingIntervalMs, pingTimeoutMs };
}

function takes(prototype: { socketParameters(service: string): unknown }, service: string): boolean {
  try {
    return prototype.socketParameters(service) !== undefined;
  } catch {
    return false; // that of WebSockets throws for anything else
  }
}

function restore(management: StreamManagement, resumption: Resumption | undefined): void {
  if (resumption === undefined) return;
  const { id, inbound, outbound, queue } = resumption;
  Object.assign(management, { id, inbound, outbound, outbound_q: [...queue] });
}

/** What the next connection may resume of a stream that was up. */
function keep({ id, inbound, outbound, outbound_q }: StreamManagement): Resumption | undefined {
  return id === '' ? undefined : { id, inbound, outbound, queue: outbound_q };
}

/** What it may resume after a connection that did not get that far: the stream before, unless the server said that it is gone. */
function untried({ id }: StreamManagement, before: Resumption | undefined): Resumption | undefined {
  return id === '' ? undefined : before;
}
