/**
 * The listener for chat servers that hold a message and ask about it: `POST /gate`, with keep-alive, one request for each message.
 * Only 403 refuses a message. Every failure to decide has another status, and the chat server then applies its own policy.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { GateConfig } from '../config/service-config.ts';
import type { Clock, EpochMs, Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { HttpListener } from '../kit/http-listener.ts';
import { readBody, sendText, skipBody, type TextAnswer } from '../kit/http-message.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { bearerRequired, checkLength, hasBearerToken, tooLarge } from '../kit/request-guard.ts';
import type { Packet, PacketId } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import type { Decide, GateDecision } from '../packet/gate-decision.ts';
import type { JidReader } from '../packet/jid.ts';
import { createStanzaParser } from '../packet/xml/parse.ts';
import type { EventSink, GateAnswered } from '../telemetry/events.ts';

interface GateListenerOptions {
  readonly config: GateConfig;
  /** The virtual hosts whose messages may be asked about. */
  readonly hosts: readonly string[];
  readonly decide: Decide;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/** Starting throws GATE_LISTEN_FAILED. Stopping lets requests in progress end and answers new ones with 503. */
export function createGateListener(options: GateListenerOptions): Lifecycle {
  return createLifecycle(new GateListener(options));
}

/** Limits for slow clients, ms. */
const limits = { headersTimeoutMs: 2000, requestTimeoutMs: 5000, keepAliveMs: 60_000 };

/** A response and its kind for metrics. `rejected`: the request was not a valid question. */
interface Answer extends TextAnswer {
  readonly answer: GateAnswered;
}

class GateListener {
  readonly #options: GateListenerOptions;
  readonly #hosts: ReadonlySet<string>;
  readonly #parse = createStanzaParser();
  readonly #listener: HttpListener;

  constructor(options: GateListenerOptions) {
    const { config, clock, timers, events } = options;
    this.#options = options;
    this.#hosts = new Set(options.hosts);
    this.#listener = new HttpListener({
      listen: config.listen,
      setting: '[gate] listen',
      failure: 'GATE_LISTEN_FAILED',
      limits: { ...limits, maxConnections: config.maxConnections },
      tls: config.tls,
      endWithinMs: config.timeoutMs,
      serve: (request, response) => this.#serve(request, response),
      onRefused: (reason, count) => events.emit('connection.refused', { listener: 'gate', reason, count }),
      onFault: (error) => events.emit('request.failed', { listener: 'gate', error }),
      clock,
      timers,
    });
  }

  async start(): Promise<void> {
    const { events } = this.#options;
    await this.#listener.open();
    events.emit('gate.listening', { listening: true });
    events.emit('notice', { text: `the gate is at ${this.#listener.origin}/gate` });
  }

  async stop(): Promise<void> {
    await this.#listener.close();
    this.#options.events.emit('gate.listening', { listening: false });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, events } = this.#options;
    const startedAt = clock.monotonic();
    const refusal = this.#guard(request);
    if (refusal !== undefined) await skipBody(request);
    const answer = refusal === undefined ? await this.#answer(request, response) : rejected(refusal);
    if (answer === undefined) return;
    sendText(response, answer, { last: refusal?.status === 401 || this.#listener.closing });
    const reason = answer.answer === 'failed' || answer.answer === 'rejected' ? answer.text : '';
    events.emit('gate.answered', { answer: answer.answer, reason, durationMs: clock.monotonic() - startedAt });
  }

  /** Checks a request before its body is read. Undefined: it is acceptable. Never 403, which would refuse the message. */
  #guard({ headers, method, url }: IncomingMessage): TextAnswer | undefined {
    const { token, maxBodyBytes } = this.#options.config;
    // A web page in a browser on this machine could ask, and learn which messages are refused. Browsers send `origin` (Fetch §3.2).
    if (headers.origin !== undefined) return { status: 401, text: 'requests from web pages are not answered' };
    if (token !== undefined && !hasBearerToken(headers.authorization, token)) return bearerRequired;
    if (url !== '/gate') return { status: 404, text: 'not found; the gate is at /gate' };
    if (method !== 'POST') return { status: 405, headers: { allow: 'POST' }, text: 'only POST is allowed here' };
    const host = textOf(headers['event-pusher-host']);
    if (!this.#hosts.has(host)) return { status: 421, text: `"${host}" is not a host of this service` };
    return checkLength(headers, maxBodyBytes) ?? checkType(headers);
  }

  /** Undefined: the client has disconnected. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
    const { config, decide, clock } = this.#options;
    const reading = await readBody(request, response, config.maxBodyBytes);
    if (reading.kind === 'gone') return undefined;
    if (reading.kind === 'too-large') return rejected(tooLarge(config.maxBodyBytes));
    if (this.#listener.closing) return { answer: 'failed', status: 503, text: 'the service is stopping' };
    const question = this.#readQuestion(reading.body, request.headers, clock.now());
    return 'problem' in question ? rejected({ status: 400, text: question.problem }) : toAnswer(await decide(question.packet));
  }

  /** The body must be exactly one message of a client (RFC 6120 §4.8.2: `jabber:client`), and not an error. */
  #readQuestion(
    body: Buffer,
    headers: IncomingHttpHeaders,
    receivedAt: EpochMs,
  ): { readonly packet: Packet } | { readonly problem: string } {
    const { newPacketId, readJid } = this.#options;
    const host = textOf(headers['event-pusher-host']);
    const session = textOf(headers['event-pusher-session']) || undefined;
    try {
      const stanza = this.#parse(body);
      const { name, ns, attrs } = stanza;
      if (name !== 'message' || ns !== 'jabber:client') return { problem: 'the body must be one message in the namespace jabber:client' };
      if (attrs['type'] === 'error') return { problem: 'a message of type error cannot be held' };
      const id = newPacketId();
      // The key must be the same if a client repeats a message that blocked a callback: the watchdog counts how often it did.
      const key = `gate ${host} ${session ?? ''} ${attrs['id'] ?? id}`;
      const seen = { stanza, direction: 'in', host, session, bytes: body.length, key } as const;
      return { packet: packetFrom(seen, { id, origin: 'gate', receivedAt }, readJid).packet };
    } catch (thrown) {
      return { problem: toError(thrown).message };
    }
  }
}

const xmlType = /^application\/xml *(?:; *charset="?utf-8"? *)?$/i;

function checkType({ 'content-type': type = '', 'content-encoding': encoding }: IncomingHttpHeaders): TextAnswer | undefined {
  if (xmlType.test(type) && encoding === undefined) return undefined;
  return { status: 415, text: 'the body must be application/xml in UTF-8, without compression' };
}

function rejected(response: TextAnswer): Answer {
  return { ...response, answer: 'rejected' };
}

function toAnswer(decision: GateDecision): Answer {
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

/** A header's value as UTF-8; Node reads headers as Latin-1. */
function textOf(value: string[] | string | undefined): string {
  return typeof value === 'string' ? Buffer.from(value, 'latin1').toString() : '';
}
