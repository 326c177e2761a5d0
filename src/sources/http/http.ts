/**
 * A listener for the posts of MongooseIM's `mod_event_pusher_http` with its default module: each is a chat message that
 * a local user has sent. MongooseIM delivers that message only when it has an answer, so each request has one soon: 200
 * once it is committed, 503 if it is not by then. It reads no answer and repeats nothing it has one to: at most once.
 * After a freeze, the service receives posts whose senders have timed out, each on a separate connection: they are pushed late, in any order.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpAttachment } from '../../config/config.ts';
import { type Clock, type Timers, within } from '../../kit/clock.ts';
import { HttpListener } from '../../kit/http-listener.ts';
import { readBody, sendText, skipBody } from '../../kit/http-message.ts';
import { createDeferred, createLifecycle } from '../../kit/lifecycle.ts';
import type { Accept, Packet, PacketId } from '../../model/packet.ts';
import { packetFrom } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { OwnTraffic } from '../own-traffic.ts';
import { Flow, type Source } from '../source.ts';
import { bodyTooLarge, overloaded, type Refusal, type SkipReason, strangers } from './answer.ts';
import { createDoor } from './door.ts';
import { type PostedForm, readForm } from './posted-form.ts';
import { postedStanza } from './posted-stanza.ts';

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

/** So long a request waits for its commit, ms: the message's sender waits with it. */
const commitWithinMs = 50;
/** What is under way when the listener stops has this long to end, ms. */
const endWithinMs = 1000;

/** Limits for slow clients, ms. An idle connection belongs to a worker of the server. */
const limits = { headersTimeoutMs: 2000, requestTimeoutMs: 5000, keepAliveMs: 60_000 };

const later = { 'retry-after': '1' };
const late = { status: 503, headers: later, text: `taken, but not on disk within ${commitWithinMs} ms: it may be pushed yet, once` };
const taken = { status: 200, text: '' };
/** A post bears no mark; what others say as this account, the account itself sees. */
const own: Refusal = { status: 200, reason: 'own', text: '' };

/** Starting throws ATTACH_LISTEN_FAILED. */
export function createHttpSource(options: HttpOptions): Source {
  const { attachment, clock, timers, events } = options;
  const { name, listen, path, maxConnections } = attachment;
  const hosts = new Set(attachment.hosts);
  const flow = new Flow(options.accept, { maxBytes: attachment.maxUncommittedBytes });
  const door = createDoor(attachment, clock);
  const listener = new HttpListener({
    listen,
    setting: `[attach.${name}] listen`,
    failure: 'ATTACH_LISTEN_FAILED',
    limits: { ...limits, maxConnections },
    endWithinMs,
    serve,
    onRefused: (reason, count) => events.emit('connection.refused', { listener: name, reason, count }),
    onFault: (error) => events.emit('request.failed', { listener: name, error }),
    clock,
    timers,
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = door(request);
    const isStranger = refusal !== undefined && strangers.has(refusal.reason);
    if (isStranger) await skipBody(request);
    const answer = refusal ?? (await take(request, response));
    if (answer === undefined) return;
    if ('reason' in answer) skip(answer.reason);
    sendText(response, answer, { last: isStranger || listener.closing });
  }

  /** Undefined: the client has gone. */
  async function take(request: IncomingMessage, response: ServerResponse): Promise<Refusal | typeof late | typeof taken | undefined> {
    const reading = await readBody(request, response, attachment.maxBodyBytes);
    if (reading.kind === 'gone') return undefined;
    if (reading.kind === 'too-large') return bodyTooLarge(attachment.maxBodyBytes);
    const { body } = reading;
    events.emit('stream.read', { attachment: name, bytes: body.length });
    const read = readForm(body);
    if (read.kind === 'problem') return { status: 400, reason: 'malformed', text: read.text };
    if (!hosts.has(read.form.server.toLowerCase())) {
      return { status: 403, reason: 'unknown-host', text: `${read.form.server} is no host of this attachment` };
    }
    if (listener.closing || flow.stopped) return overloaded;
    const packet = toPacket(read.form, body.length);
    if (options.isAccount(packet.from.bare)) return own;
    return (await commit(packet)) ? taken : late;
  }

  function toPacket(form: PostedForm, bytes: number): Packet {
    const id = options.newPacketId();
    const seen = { stanza: postedStanza(form, id), direction: 'in', host: form.server.toLowerCase(), bytes, key: id } as const;
    const { packet, prepared } = packetFrom(seen, { id, origin: name, receivedAt: clock.now() }, options.readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: name });
    return packet;
  }

  /** Whether it is on disk in time. Each sender is a stream: one whose packets take long keeps up nobody else's. */
  function commit(packet: Packet): Promise<boolean> {
    const committed = createDeferred<void>();
    const landed = () => {
      flow.committed(packet.bytes);
      committed.resolve();
    };
    flow.hand(packet, { stream: `${name} ${packet.from.bare}`, mark: undefined, committed: landed }, packet.bytes);
    return within(committed.promise, commitWithinMs, timers);
  }

  function skip(reason: SkipReason): void {
    events.emit('packet.skipped', { attachment: name, reason });
  }

  function tell(state: AttachmentState, reason: string): void {
    events.emit('attachment.state', { attachment: name, host: '', state, reason });
  }

  async function start(): Promise<void> {
    tell('connecting', '');
    await listener.open();
    tell('attached', '');
    for (const host of hosts) events.emit('attachment.state', { attachment: name, host, state: 'attached', reason: '' });
    events.emit('notice', { text: `attachment ${name} takes posts at ${listener.origin}${path}` });
  }

  async function stop(): Promise<void> {
    await listener.close();
    tell('offline', 'it was stopped');
  }

  return {
    name,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    resubscribe: () => undefined, // MongooseIM posts what its own module chooses
    ...createLifecycle({ start, stop }),
  };
}
