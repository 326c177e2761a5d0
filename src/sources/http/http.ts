/**
 * A listener for the posts of MongooseIM's `mod_event_pusher_http` with its default module: each is a chat message of a local user.
 * MongooseIM delivers that message only after the response, so each request gets one soon: 200 once the packet is committed, 503
 * if it is not committed in time. MongooseIM ignores the response and repeats nothing: at most once. After a freeze the service
 * receives posts whose senders have timed out, each on a separate connection: they are pushed late, in any order.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpAttachment } from '../../config/service-config.ts';
import { type Clock, type Timers, within } from '../../kit/clock.ts';
import { HttpListener } from '../../kit/http-listener.ts';
import { readBody, sendText, skipBody, type TextAnswer } from '../../kit/http-message.ts';
import { createDeferred, createLifecycle, type Lifecycle } from '../../kit/lifecycle.ts';
import type { Accept, Packet, PacketId } from '../../model/packet.ts';
import { packetFrom } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { OwnTraffic } from '../own-traffic.ts';
import { Flow, type Source } from '../source.ts';
import { type PostedForm, postedStanza, readForm } from './posted-message.ts';
import { bodyTooLarge, isForeign, overloaded, type Refusal, RequestGuard, type SkipReason } from './request-guard.ts';

export interface HttpOptions {
  readonly attachment: HttpAttachment;
  readonly accept: Accept;
  readonly isAccount: OwnTraffic['isAccount'];
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/** Maximum time that a request waits for its commit, ms. The message's receiver waits with it. */
export const commitWithinMs = 50;
/** Time for requests in progress to end after the listener has stopped, ms. */
const endWithinMs = 1000;

/** Limits for slow clients, ms. An idle connection belongs to a worker of the chat server. */
const limits = { headersTimeoutMs: 2000, requestTimeoutMs: 5000, keepAliveMs: 60_000 };

/** `reason` is set if the post became no packet. */
type PostAnswer = TextAnswer & { readonly reason?: SkipReason };

const accepted: PostAnswer = { status: 200, text: '' };
const notYetCommitted: PostAnswer = {
  status: 503,
  headers: { 'retry-after': '1' },
  text: `accepted but not committed within ${commitWithinMs} ms; it may still be pushed once`,
};
/** A post does not identify the client that sent the message; the attachment of the account sees what its other clients send. */
const ofOwnAccount: Refusal = { status: 200, reason: 'own', text: '' };

export class HttpSource implements Source {
  readonly name: string;
  readonly start: Lifecycle['start'];
  readonly stop: Lifecycle['stop'];
  readonly #options: HttpOptions;
  readonly #hosts: ReadonlySet<string>;
  readonly #flow: Flow;
  readonly #guard: RequestGuard;
  readonly #listener: HttpListener;

  /** Starting throws ATTACH_LISTEN_FAILED. */
  constructor(options: HttpOptions) {
    const { attachment, clock, timers, events } = options;
    const { name, listen, maxConnections } = attachment;
    this.name = name;
    this.#options = options;
    this.#hosts = new Set(attachment.hosts);
    this.#flow = new Flow(options.accept, { maxBytes: attachment.maxUncommittedBytes });
    this.#guard = new RequestGuard(attachment, clock);
    this.#listener = new HttpListener({
      listen,
      setting: `[attach.${name}] listen`,
      failure: 'ATTACH_LISTEN_FAILED',
      limits: { ...limits, maxConnections },
      tls: attachment.tls,
      endWithinMs,
      serve: (request, response) => this.#serve(request, response),
      onRefused: (reason, count) => events.emit('connection.refused', { listener: name, reason, count }),
      onFault: (error) => events.emit('request.failed', { listener: name, error }),
      clock,
      timers,
    });
    ({ start: this.start, stop: this.stop } = createLifecycle({ start: () => this.#start(), stop: () => this.#stop() }));
  }

  get uncommittedBytes(): number {
    return this.#flow.uncommittedBytes;
  }

  resubscribe(): void {
    // MongooseIM's module decides what is posted.
  }

  async #start(): Promise<void> {
    const { attachment, events } = this.#options;
    this.#emitState('connecting', '');
    await this.#listener.open();
    this.#emitState('attached', '');
    for (const host of this.#hosts) events.emit('attachment.state', { attachment: this.name, host, state: 'attached', reason: '' });
    events.emit('notice', { text: `attachment ${this.name} accepts posts at ${this.#listener.origin}${attachment.path}` });
  }

  async #stop(): Promise<void> {
    await this.#listener.close();
    this.#emitState('offline', 'stopped');
  }

  #emitState(state: AttachmentState, reason: string): void {
    this.#options.events.emit('attachment.state', { attachment: this.name, host: '', state, reason });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = this.#guard.check(request);
    const foreign = refusal !== undefined && isForeign(refusal);
    if (foreign) await skipBody(request);
    const answer: PostAnswer | undefined = refusal ?? (await this.#read(request, response));
    if (answer === undefined) return;
    if (answer.reason !== undefined) this.#options.events.emit('packet.skipped', { attachment: this.name, reason: answer.reason });
    sendText(response, answer, { last: foreign || this.#listener.closing });
  }

  /** Undefined: the client has disconnected. */
  async #read(request: IncomingMessage, response: ServerResponse): Promise<PostAnswer | undefined> {
    const { attachment, events } = this.#options;
    const reading = await readBody(request, response, attachment.maxBodyBytes);
    if (reading.kind === 'gone') return undefined;
    if (reading.kind === 'too-large') return bodyTooLarge(attachment.maxBodyBytes);
    const { body } = reading;
    events.emit('stream.read', { attachment: this.name, bytes: body.length });
    const read = readForm(body);
    if (read.kind === 'problem') return { status: 400, reason: 'malformed', text: read.text };
    if (!this.#hosts.has(read.form.server.toLowerCase())) {
      return { status: 403, reason: 'unknown-host', text: `${read.form.server} is not a host of this attachment` };
    }
    if (this.#listener.closing || this.#flow.stopped) return overloaded;
    const packet = this.#toPacket(read.form, body.length);
    if (this.#options.isAccount(packet.from.bare)) return ofOwnAccount;
    return (await this.#commit(packet)) ? accepted : notYetCommitted;
  }

  #toPacket(form: PostedForm, bytes: number): Packet {
    const { newPacketId, clock, readJid, events } = this.#options;
    const id = newPacketId();
    const seen = { stanza: postedStanza(form, id), direction: 'in', host: form.server.toLowerCase(), bytes, key: id } as const;
    const { packet, prepared } = packetFrom(seen, { id, origin: this.name, receivedAt: clock.now() }, readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: this.name });
    return packet;
  }

  /** Whether the packet is on disk in time. Each sender is a stream, so slow packets of one delay no other. */
  #commit(packet: Packet): Promise<boolean> {
    const written = createDeferred<void>();
    const committed = () => {
      this.#flow.committed(packet.bytes);
      written.resolve();
    };
    this.#flow.hand(packet, { stream: `${this.name} ${packet.from.bare}`, mark: undefined, committed }, packet.bytes);
    return within(written.promise, commitWithinMs, this.#options.timers);
  }
}
