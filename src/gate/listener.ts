import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { GateConfig } from '../config/config.ts';
import type { Clock, EpochMs, Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { HttpListener } from '../kit/http-listener.ts';
import { readBody, sendText, skipBody, type TextAnswer } from '../kit/http-message.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { bearerRequired, checkLength, hasBearerToken, tooLarge } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';
import type { Packet, PacketId } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import type { Decide, GateDecision } from '../packet/gate-decision.ts';
import type { JidReader } from '../packet/jid.ts';
import { createStanzaParser, type ParseStanza } from '../packet/xml/parse.ts';
import type { EventSink, GateAnswered } from '../telemetry/events.ts';

/**
 * Where a chat server asks about a message that it holds: `POST /gate`, kept alive, one request for each message. Only
 * 403 refuses one; whatever hinders a decision has a status of its own, and the chat server's own policy decides then.
 */

export interface GateListenerOptions {
  readonly config: GateConfig;
  /** The virtual hosts that may ask. */
  readonly hosts: readonly string[];
  readonly decide: Decide;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/** Limits for slow clients, ms. */
const limits = { headersTimeoutMs: 2000, requestTimeoutMs: 5000, keepAliveMs: 60_000 };

interface Answered extends TextAnswer {
  readonly answer: GateAnswered;
}

/** Starting throws GATE_LISTEN_FAILED. Stopping lets what is under way end, and answers what still comes with 503. */
export function createGateListener(options: GateListenerOptions): Lifecycle {
  const { config, decide, clock, timers, events } = options;
  const { timeoutMs: endWithinMs, listen, maxBodyBytes, maxConnections, token } = config;
  const door = createDoor({ token, maxBodyBytes, hosts: new Set(options.hosts) });
  const readQuestion = createQuestionReader(options);
  const listener = new HttpListener({
    listen,
    setting: '[gate] listen',
    failure: 'GATE_LISTEN_FAILED',
    limits: { ...limits, maxConnections },
    endWithinMs,
    serve,
    onRefused: (reason, count) => events.emit('connection.refused', { listener: 'gate', reason, count }),
    onFault: (error) => events.emit('request.failed', { listener: 'gate', error }),
    clock,
    timers,
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const begunAt = clock.monotonic();
    const refusal = door(request);
    if (refusal !== undefined) await skipBody(request);
    const answered = refusal === undefined ? await answer(request, response) : rejected(refusal);
    if (answered === undefined) return;
    sendText(response, answered, { last: refusal?.status === 401 || listener.closing });
    const reason = answered.answer === 'failed' || answered.answer === 'rejected' ? answered.text : '';
    events.emit('gate.answered', { answer: answered.answer, reason, durationMs: clock.monotonic() - begunAt });
  }

  /** Undefined: the client has gone. */
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Answered | undefined> {
    const reading = await readBody(request, response, maxBodyBytes);
    if (reading.kind === 'gone') return undefined;
    if (reading.kind === 'too-large') return rejected(tooLarge(maxBodyBytes));
    const { body } = reading;
    if (listener.closing) return { answer: 'failed', status: 503, text: 'the service is stopping' };
    const { 'event-pusher-host': host, 'event-pusher-session': session } = request.headers;
    const read = readQuestion({ body, host: textOf(host), session: textOf(session) || undefined }, clock.now());
    return 'problem' in read ? rejected({ status: 400, text: read.problem }) : toAnswer(await decide(read.packet));
  }

  async function start(): Promise<void> {
    await listener.open();
    events.emit('gate.listening', { listening: true });
    events.emit('notice', { text: `the gate is at ${listener.origin}/gate` });
  }

  async function stop(): Promise<void> {
    await listener.close();
    events.emit('gate.listening', { listening: false });
  }

  return createLifecycle({ start, stop });
}

function rejected(given: TextAnswer): Answered {
  return { ...given, answer: 'rejected' };
}

function toAnswer(decision: GateDecision): Answered {
  switch (decision.kind) {
    case 'allowed':
      return { answer: 'allowed', status: 204, text: '' };
    case 'changed':
      return { answer: 'changed', status: 200, text: decision.body };
    case 'failed':
      return { answer: 'failed', status: 503, text: decision.reason };
    case 'refused':
      return { answer: 'refused', status: 403, text: decision.text };
    default:
      return decision satisfies never;
  }
}

/** Looks at a request before its body is read. Undefined: it may come in. No answer of it is one that refuses a message. */
export type Door = (request: Pick<IncomingMessage, 'headers' | 'method' | 'url'>) => TextAnswer | undefined;

export interface DoorOptions {
  /** Undefined: whoever reaches the listener may ask. */
  readonly token: Secret | undefined;
  /** The virtual hosts that may ask. */
  readonly hosts: ReadonlySet<string>;
  readonly maxBodyBytes: number;
}

const xmlType = /^application\/xml *(?:; *charset="?utf-8"? *)?$/i;

/** Lets in what comes from no browser, shows the token, asks at the right place about a host of ours, and announces XML that is not too large. */
export function createDoor({ token, hosts, maxBodyBytes }: DoorOptions): Door {
  return ({ headers, method, url }) => {
    // A page in a browser of this machine could ask too, and so read what is refused; its browser says so (Fetch §3.2).
    if (headers.origin !== undefined) return { status: 401, text: 'nothing is answered to web pages' };
    if (token !== undefined && !hasBearerToken(headers.authorization, token)) return bearerRequired;
    if (url !== '/gate') return { status: 404, text: 'messages are asked about at /gate alone' };
    if (method !== 'POST') return { status: 405, headers: { allow: 'POST' }, text: 'only POST is answered here' };
    const host = textOf(headers['event-pusher-host']);
    if (!hosts.has(host)) return { status: 421, text: `"${host}" is no host of this service` };
    return checkLength(headers, maxBodyBytes) ?? unfit(headers);
  };
}

function unfit({ 'content-type': type = '', 'content-encoding': encoding }: IncomingHttpHeaders): TextAnswer | undefined {
  if (xmlType.test(type) && encoding === undefined) return undefined;
  return { status: 415, text: 'the body must be application/xml, in UTF-8 and not compressed' };
}

/** A header's value as UTF-8; Node reads headers as Latin-1. */
export function textOf(value: string[] | string | undefined): string {
  return typeof value === 'string' ? Buffer.from(value, 'latin1').toString() : '';
}

/** What a chat server sends: the message's bytes, and in headers the host that asks and the session that sent it. */
export interface Posted {
  readonly body: Buffer;
  readonly host: string;
  readonly session: string | undefined;
}

export type ReadQuestion = (posted: Posted, receivedAt: EpochMs) => { readonly packet: Packet } | { readonly problem: string };

/** Reads what a chat server asks about: exactly one message of a client (RFC 6120 §4.8.2: `jabber:client`) that is no error. */
export function createQuestionReader(options: { readonly newPacketId: () => PacketId; readonly readJid: JidReader }): ReadQuestion {
  const parse: ParseStanza = createStanzaParser();

  return ({ body, host, session }, receivedAt) => {
    try {
      const stanza = parse(body);
      const { name, ns, attrs } = stanza;
      if (name !== 'message' || ns !== 'jabber:client') return { problem: 'the body must be one message in the namespace jabber:client' };
      if (attrs['type'] === 'error') return { problem: 'an error is never held' };
      const id = options.newPacketId();
      // A client that sends a blocking message again gives it the same id: the watchdog counts it as the same.
      const key = `gate ${host} ${session ?? ''} ${attrs['id'] ?? id}`;
      const seen = { stanza, direction: 'in', host, session, bytes: body.length, key } as const;
      return { packet: packetFrom(seen, { id, origin: 'gate', receivedAt }, options.readJid).packet };
    } catch (thrown) {
      return { problem: toError(thrown).message };
    }
  };
}
