/**
 * Listeners whose requests descriptors route to program units, through exits that know HTTP (openUTM's event exit HTTP).
 * A request is looked at by the door, read, run (`run-service.ts`), and answered: what became a packet when it is on disk.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExitsAttachment } from '../../../config/config.ts';
import { type Clock, createRfc3339, type Timers, within } from '../../../kit/clock.ts';
import { readBody, skipBody } from '../../../kit/http-message.ts';
import { createDeferred, createLifecycle } from '../../../kit/lifecycle.ts';
import type { Accept, PacketId, Stanza } from '../../../model/packet.ts';
import { packetFrom } from '../../../packet/from-xml.ts';
import type { JidReader } from '../../../packet/jid.ts';
import type { AttachmentState, EventSink } from '../../../telemetry/events.ts';
import { Flow, type Outbox, type Source } from '../../source.ts';
import { bodyTooLarge, overloaded, type Refusal, strangers } from '../answer.ts';
import { Decoders } from './decoders.ts';
import { type Admitted, createDoor } from './door.ts';
import { createListeners } from './listeners.ts';
import type { ModuleCaller, UserModules } from './module-call.ts';
import { createPrograms } from './programs.ts';
import { receive } from './receive.ts';
import { plainReply, type Reply, sendReply } from './reply.ts';
import { runService, type ServiceEnd } from './run-service.ts';
import type { StatusCheck } from './status-unit.ts';

export interface ExitsOptions {
  readonly attachment: ExitsAttachment;
  readonly accept: Accept;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
  /** What its exits and units export. */
  readonly modules: UserModules;
  readonly callModule: ModuleCaller;
  /** What STATUS tells. */
  readonly checks: () => readonly StatusCheck[];
  /** Where SENDMSG sends; undefined where nothing needs it. */
  readonly outbox: Outbox | undefined;
}

/** A request on a listener, and its response. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly listener: string;
}

/** So long a request waits for its commit, ms. */
const commitWithinMs = 10_000;

export function createExitsSource(options: ExitsOptions): Source {
  const { attachment, clock, timers, events } = options;
  const { name } = attachment;
  const flow = new Flow(options.accept, { maxBytes: attachment.maxUncommittedBytes });
  const door = createDoor(attachment, clock);
  const programs = createPrograms({ ...options, hand });
  const rfc3339 = createRfc3339();
  const decoders = new Decoders();
  let held = 0;
  let stopping = false;

  async function serve(request: IncomingMessage, response: ServerResponse, listener: string): Promise<void> {
    const admission = await door(request, listener);
    if (admission.kind === 'refused') await skipBody(request);
    const end: ServiceEnd | undefined =
      admission.kind === 'refused' ? admission : await takeIfRoom({ request, response, listener }, admission);
    if (end === undefined) return;
    tellTrouble(end, admission.kind === 'admitted' ? admission.descriptor.name : '');
    const isStranger = end.kind === 'refused' && strangers.has(end.refusal.reason);
    sendReply(response, replyOf(end), { last: isStranger || stopping });
  }

  /** Bodies are held until their service ends, so many bytes of them at most; a chunked one may grow to the limit. */
  async function takeIfRoom(exchange: Exchange, admitted: Admitted): Promise<ServiceEnd | undefined> {
    const announced = Number(exchange.request.headers['content-length'] ?? attachment.maxBodyBytes);
    if (held > 0 && held + announced > attachment.maxUncommittedBytes) {
      await skipBody(exchange.request);
      return { kind: 'refused', refusal: overloaded };
    }
    held += announced;
    try {
      return await take(exchange, admitted);
    } finally {
      held -= announced;
    }
  }

  /** Undefined: the client has gone. */
  async function take({ request, response, listener }: Exchange, admitted: Admitted): Promise<ServiceEnd | undefined> {
    const read = await readBody(request, response, attachment.maxBodyBytes);
    if (read.kind === 'gone') return undefined;
    if (read.kind === 'too-large') return { kind: 'refused', refusal: bodyTooLarge(attachment.maxBodyBytes) };
    events.emit('stream.read', { attachment: name, bytes: read.body.length });
    if (stopping) return { kind: 'refused', refusal: overloaded };

    const received = receive(request, admitted, { id: options.newPacketId(), bcamappl: listener, body: read.body, decoders });
    if ('status' in received) return { kind: 'refused', refusal: received };
    const ca = {};
    const acc = Object.freeze({ id: received.id, origin: name, receivedAt: rfc3339(clock.now()), ca });
    const { status, ...program } = programs(admitted.descriptor);
    return await runService(program, { received, ca, status }, acc);
  }

  /** Each sender is a stream: one whose packets take long keeps up nobody else's. Undefined: too much waits already. */
  function hand(
    stanza: Stanza,
    seen: { readonly id: PacketId; readonly host: string; readonly bytes: number },
  ): Promise<boolean> | undefined {
    if (flow.stopped || stopping) return undefined;
    const { id, bytes } = seen;
    const reception = { id, origin: name, receivedAt: clock.now() };
    const { packet } = packetFrom({ stanza, direction: 'in', key: id, ...seen }, reception, options.readJid);
    const committed = createDeferred<void>();
    const landed = () => {
      flow.committed(bytes);
      committed.resolve();
    };
    flow.hand(packet, { stream: `${name} ${packet.from.bare}`, mark: undefined, committed: landed }, bytes);
    return within(committed.promise, commitWithinMs, timers);
  }

  function tellTrouble(end: ServiceEnd, descriptor: string): void {
    if (end.kind === 'refused') events.emit('packet.skipped', { attachment: name, reason: end.refusal.reason });
    if (end.kind !== 'failed') return;
    const { by, text, error } = end;
    events.emit('exit.failed', { attachment: name, descriptor, by, text, error });
  }

  function tell(state: AttachmentState, reason: string): void {
    events.emit('attachment.state', { attachment: name, host: '', state, reason });
  }

  const listeners = createListeners({
    attachment,
    events,
    clock,
    timers,
    serve,
    opened: (listener, address) => events.emit('notice', { text: `attachment ${name} takes requests at ${address} (${listener})` }),
  });

  const lifecycle = createLifecycle({
    start: async () => {
      tell('connecting', '');
      await listeners.start();
      tell('attached', '');
      for (const host of attachment.hosts) events.emit('attachment.state', { attachment: name, host, state: 'attached', reason: '' });
    },
    stop: async () => {
      stopping = true;
      await listeners.stop();
      tell('offline', 'it was stopped');
    },
  });

  return {
    name,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    resubscribe: () => undefined, // clients send what they like
    ...lifecycle,
  };
}

function replyOf(end: ServiceEnd): Reply {
  switch (end.kind) {
    case 'failed':
      return plainReply({ status: 500, text: end.text });
    case 'refused':
      return plainReply(end.refusal satisfies Refusal);
    case 'replied':
      return end.reply;
    default:
      return end satisfies never;
  }
}
