/**
 * Where a chat server asks about a message that it holds: `POST /gate`, kept alive, one request for each message. Only
 * 403 refuses one; whatever hinders a decision has a status of its own, and the chat server's own policy decides then.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GateConfig } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { HttpListener } from '../kit/http-listener.ts';
import { readBody, sendText, skipBody, type TextAnswer } from '../kit/http-message.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { tooLarge } from '../kit/request-guard.ts';
import type { PacketId } from '../model/packet.ts';
import type { Decide, GateDecision } from '../packet/gate-decision.ts';
import type { JidReader } from '../packet/jid.ts';
import type { EventSink, GateAnswered } from '../telemetry/events.ts';
import { createDoor, textOf } from './door.ts';
import { createQuestionReader } from './question.ts';

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
