/**
 * Listeners whose requests are routed by descriptors to program units, through exits that know HTTP (openUTM's event exit HTTP).
 * Each request is checked (`request-guard.ts`), read, run (`run-service.ts`) and answered; a packet is on disk before its response.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExitsAttachment } from '../../../config/service-config.ts';
import { type Clock, createRfc3339, type Timers, within } from '../../../kit/clock.ts';
import { HttpListener } from '../../../kit/http-listener.ts';
import { readBody, skipBody } from '../../../kit/http-message.ts';
import { createDeferred, createLifecycle, type Lifecycle } from '../../../kit/lifecycle.ts';
import type { Accept, PacketId } from '../../../model/packet.ts';
import { packetFrom } from '../../../packet/from-xml.ts';
import type { JidReader } from '../../../packet/jid.ts';
import type { AttachmentState, EventSink } from '../../../telemetry/events.ts';
import { Flow, type Outbox, type Source } from '../../source.ts';
import { bodyTooLarge, isForeign, overloaded } from '../request-guard.ts';
import { Decoders } from './decoders.ts';
import type { ModuleCaller, UserModules } from './exit.ts';
import { plainReply, type Reply, sendReply } from './reply.ts';
import { receive } from './request.ts';
import { type Admitted, ExitRequestGuard } from './request-guard.ts';
import { createPrograms, type Program, runService, type ServiceEnd } from './run-service.ts';
import type { PushOptions, StatusCheck } from './units.ts';

export interface ExitsOptions {
  readonly attachment: ExitsAttachment;
  readonly accept: Accept;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
  /** The default exports of its exits and units. */
  readonly modules: UserModules;
  readonly callModule: ModuleCaller;
  /** The checks of STATUS. */
  readonly checks: () => readonly StatusCheck[];
  /** The outbox of SENDMSG; undefined if no unit needs it. */
  readonly outbox: Outbox | undefined;
}

/** A request on a listener, and its response. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly listener: string;
}

/** Maximum time that a request waits for its commit, ms. */
const commitWithinMs = 10_000;
/** Time for requests in progress to end after the listeners have stopped, ms. */
const endWithinMs = 5000;
const keepAliveMs = 60_000;

export class ExitsSource implements Source {
  readonly name: string;
  readonly start: Lifecycle['start'];
  readonly stop: Lifecycle['stop'];
  readonly #options: ExitsOptions;
  readonly #flow: Flow;
  readonly #guard: ExitRequestGuard;
  readonly #programs: ReadonlyMap<string, Program>;
  readonly #listeners: readonly { readonly name: string; readonly http: HttpListener }[];
  readonly #rfc3339 = createRfc3339();
  readonly #decoders = new Decoders();
  /** Bytes of bodies whose service has not ended, as declared. */
  #heldBytes = 0;
  #stopping = false;

  /** Starting throws ATTACH_LISTEN_FAILED. */
  constructor(options: ExitsOptions) {
    const { attachment, clock } = options;
    this.name = attachment.name;
    this.#options = options;
    this.#flow = new Flow(options.accept, { maxBytes: attachment.maxUncommittedBytes });
    this.#guard = new ExitRequestGuard(attachment, clock);
    this.#programs = createPrograms({ ...options, hand: this.#hand });
    this.#listeners = attachment.listeners.map((listen) => ({ name: listen.name, http: this.#createListener(listen) }));
    ({ start: this.start, stop: this.stop } = createLifecycle({ start: () => this.#start(), stop: () => this.#stop() }));
  }

  get uncommittedBytes(): number {
    return this.#flow.uncommittedBytes;
  }

  resubscribe(): void {
    // Clients decide what they send.
  }

  #createListener(listen: ExitsAttachment['listeners'][number]): HttpListener {
    const { attachment, events, clock, timers } = this.#options;
    const { name, maxConnections, requestTimeoutMs } = attachment;
    return new HttpListener({
      listen,
      setting: `[attach.${name}] listen`,
      failure: 'ATTACH_LISTEN_FAILED',
      limits: { maxConnections, requestTimeoutMs, headersTimeoutMs: requestTimeoutMs, keepAliveMs },
      tls: attachment.tls,
      endWithinMs,
      serve: (request, response) => this.#serve({ request, response, listener: listen.name }),
      onRefused: (reason, count) => events.emit('connection.refused', { listener: name, reason, count }),
      onFault: (error) => events.emit('request.failed', { listener: name, error }),
      clock,
      timers,
    });
  }

  async #start(): Promise<void> {
    const { attachment, events } = this.#options;
    this.#emitState('connecting', '');
    await this.#openListeners();
    this.#emitState('attached', '');
    for (const host of attachment.hosts) events.emit('attachment.state', { attachment: this.name, host, state: 'attached', reason: '' });
  }

  async #openListeners(): Promise<void> {
    for (const { name, http } of this.#listeners) {
      await http.open();
      this.#options.events.emit('notice', { text: `attachment ${this.name} accepts requests at ${http.origin} (${name})` });
    }
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#listeners.map(({ http }) => http.close()));
    this.#emitState('offline', 'stopped');
  }

  #emitState(state: AttachmentState, reason: string): void {
    this.#options.events.emit('attachment.state', { attachment: this.name, host: '', state, reason });
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { request, response, listener } = exchange;
    const admission = await this.#guard.check(request, listener);
    if (admission.kind === 'refused') await skipBody(request);
    const end: ServiceEnd | undefined = admission.kind === 'refused' ? admission : await this.#runIfCapacity(exchange, admission);
    if (end === undefined) return;
    this.#emitEnd(end, admission.kind === 'admitted' ? admission.descriptor.name : '');
    const foreign = end.kind === 'refused' && isForeign(end.refusal);
    sendReply(response, replyOf(end), { last: foreign || this.#stopping });
  }

  /** Bodies are held until their service ends, so their total size is limited; a chunked body may grow to the maximum. */
  async #runIfCapacity(exchange: Exchange, admitted: Admitted): Promise<ServiceEnd | undefined> {
    const { maxBodyBytes, maxUncommittedBytes } = this.#options.attachment;
    const declared = Number(exchange.request.headers['content-length'] ?? maxBodyBytes);
    if (this.#heldBytes > 0 && this.#heldBytes + declared > maxUncommittedBytes) {
      await skipBody(exchange.request);
      return { kind: 'refused', refusal: overloaded };
    }
    this.#heldBytes += declared;
    try {
      return await this.#run(exchange, admitted);
    } finally {
      this.#heldBytes -= declared;
    }
  }

  /** Undefined: the client has disconnected. */
  async #run({ request, response, listener }: Exchange, admitted: Admitted): Promise<ServiceEnd | undefined> {
    const { attachment, clock, events, newPacketId } = this.#options;
    const read = await readBody(request, response, attachment.maxBodyBytes);
    if (read.kind === 'gone') return undefined;
    if (read.kind === 'too-large') return { kind: 'refused', refusal: bodyTooLarge(attachment.maxBodyBytes) };
    events.emit('stream.read', { attachment: this.name, bytes: read.body.length });
    if (this.#stopping) return { kind: 'refused', refusal: overloaded };

    const { body } = read;
    const received = receive(request, admitted, { id: newPacketId(), bcamappl: listener, body, decoders: this.#decoders });
    if ('status' in received) return { kind: 'refused', refusal: received };
    const ca = {};
    const acc = Object.freeze({ id: received.id, origin: this.name, receivedAt: this.#rfc3339(clock.now()), ca });
    const program = this.#programs.get(admitted.descriptor.name);
    if (program === undefined) throw new Error(`no descriptor ${admitted.descriptor.name}`); // the guard has the same list
    return await runService(program, { received, ca, status: program.status }, acc);
  }

  /** Each sender is a stream, so slow packets of one delay no other. Undefined: too much is waiting already. */
  readonly #hand: PushOptions['hand'] = (stanza, seen) => {
    if (this.#flow.stopped || this.#stopping) return undefined;
    const { clock, readJid, timers } = this.#options;
    const { id, bytes } = seen;
    const reception = { id, origin: this.name, receivedAt: clock.now() };
    const { packet } = packetFrom({ stanza, direction: 'in', key: id, ...seen }, reception, readJid);
    const written = createDeferred<void>();
    const committed = () => {
      this.#flow.committed(bytes);
      written.resolve();
    };
    this.#flow.hand(packet, { stream: `${this.name} ${packet.from.bare}`, mark: undefined, committed }, bytes);
    return within(written.promise, commitWithinMs, timers);
  };

  #emitEnd(end: ServiceEnd, descriptor: string): void {
    const { events } = this.#options;
    if (end.kind === 'refused') events.emit('packet.skipped', { attachment: this.name, reason: end.refusal.reason });
    if (end.kind !== 'failed') return;
    const { by, text, error } = end;
    events.emit('exit.failed', { attachment: this.name, descriptor, by, text, error });
  }
}

function replyOf(end: ServiceEnd): Reply {
  switch (end.kind) {
    case 'failed':
      return plainReply({ status: 500, text: end.text });
    case 'refused':
      return plainReply(end.refusal);
    case 'replied':
      return end.reply;
    default:
      return end satisfies never;
  }
}
