/**
 * The feed of our server-side module: at least once, in order, with direction and session. Each virtual host has a feed of its own
 * ({@link HostFeed}) on the component's stream:
 *
 *   detached → asking (resume is sent) → flowing
 *                 ↓ an error               ↓ an error to an acknowledgement: the tap was reloaded, or feeds another pusher
 *              refused → asking again  ←───┘
 *
 * Refused covers two states that are reported separately: `refused`, the host has no tap, and `standby`, its tap feeds another pusher.
 * (The standby of a whole component is in connection.ts.)
 *
 * A flowing feed continues while its subscription changes (renewing): items that were in transit arrive again, and
 * are recognised as duplicates.
 *
 * Protocol: `urn:x-event-pusher:tap:1`, described in docs/reference/tap-protocol.md.
 */
import type { Mark, Packet, Stanza, Subscription } from '../../model/packet.ts';
import { element, findChild, toXml } from '../../packet/xml/element.ts';
import { errorCondition, isResponse, type Unreadable } from '../xmpp-stream.ts';
import type { Feed, FeedContext, Outlet, OwnSide, SkipReason } from './feed.ts';
import { readContent, readQueueFill, readResumed, readTapItem, type TapItem, tapNs } from './tap-item.ts';
import { type Resumed, TapLedger } from './tap-ledger.ts';

/** Wait before the next resume to a host that has no tap, or feeds another pusher. */
const askAgainMs = 30_000;
/** A host that has just been removed never answers. */
const answerTimeoutMs = 10_000;

/** Interval of the repeated acknowledgement to an idle host: a reloaded tap, which has lost our resume, answers it with an error … */
const remindEveryMs = 30_000;
/** … and gets a new resume after this time. */
const resumeAgainMs = 1000;

/** An acknowledgement is due after this many commits, or this long after the first of them. */
const ackEvery = 200;
const ackDelayMs = 20;

/** Space for the wrapper of a stanza: a JID alone may take 8 KiB if each of its characters is escaped. */
const wrapperBytes = 16_384;

interface TapFeedOptions extends FeedContext {
  readonly marks: readonly Mark[];
  readonly subscription: Subscription;
  /** Identifies this process: the tap lets it take over from its own earlier connection, which may still be open. */
  readonly instance: string;
  /** Claims the name of a host's node for this connection. Returns the connection that already has it. */
  readonly claimNode: (host: string, node: string) => string | undefined;
  /** Whether another pusher had the feed since this process started: then it received the items of which there is no record. */
  readonly hasStoodBy: () => boolean;
  /** Ends the stream, which is connected to the wrong node. */
  readonly refuse: (reason: string) => void;
}

export class TapFeed implements Feed {
  readonly #options: TapFeedOptions;
  readonly #hostFeeds: ReadonlyMap<string, HostFeed>;

  constructor(options: TapFeedOptions) {
    this.#options = options;
    this.#hostFeeds = new Map(options.attachment.hosts.map((host) => [host, new HostFeed(host, options)]));
  }

  attached(outlet: Outlet): void {
    for (const feed of this.#hostFeeds.values()) feed.attached(outlet);
  }

  detached(): void {
    for (const feed of this.#hostFeeds.values()) feed.detached();
  }

  resubscribe(subscription: Subscription): void {
    for (const feed of this.#hostFeeds.values()) feed.resubscribe(subscription);
  }

  received(stanza: Stanza, bytes: number): void {
    const feed = this.#hostFeeds.get(stanza.attrs['from'] ?? '');
    if (stanza.name === 'message') this.#item(feed, stanza, bytes);
    else if (feed !== undefined && isResponse(stanza)) feed.answered(stanza);
    else if (feed !== undefined && findChild(stanza, 'free', tapNs) !== undefined) feed.freed();
    else this.#options.onOther(stanza);
  }

  /** An unreadable item is acknowledged in order if its head identifies it; otherwise the tap would send it again without end. */
  unreadable({ head, reason }: Unreadable): void {
    const feed = this.#hostFeeds.get(head?.attrs['from'] ?? '');
    const item = head?.name === 'message' ? readTapItem(head) : undefined;
    if (item !== undefined && feed?.owns(item) === true) feed.skipInOrder(item, reason);
    else this.#options.skip(reason, feed?.host);
  }

  #item(feed: HostFeed | undefined, message: Stanza, bytes: number): void {
    const item = readTapItem(message);
    if (item === undefined) return this.#options.skip('malformed');
    if (feed?.owns(item) !== true) return this.#options.skip('forged');
    feed.take(item, bytes);
  }
}

/** The feed of one virtual host: requests to its tap, and items from it. */
class HostFeed {
  readonly host: string;
  readonly #options: TapFeedOptions;
  readonly #own: OwnSide;
  readonly #ledger: TapLedger;
  #state: 'asking' | 'detached' | 'flowing' | 'refused' | 'renewing' = 'detached';
  #outlet: Outlet | undefined;
  #subscription: Subscription;
  /** The stream key that orders its packets: attachment, host and node. */
  #stream = '';
  #unacknowledged = 0;
  #cancelTimer: () => void = () => undefined;
  #cancelAck: () => void = () => undefined;

  constructor(host: string, options: TapFeedOptions) {
    const { attachment, marks, subscription, isOwn } = options;
    const ours = marks.filter((mark) => mark.attachment === attachment.name && mark.host === host);
    this.host = host;
    this.#options = options;
    this.#own = { domain: attachment.domain, receives: false, isOwn };
    this.#ledger = new TapLedger({ attachment: attachment.name, host, marks: ours });
    this.#subscription = subscription;
  }

  attached(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#ask();
  }

  detached(): void {
    this.#outlet = undefined;
    this.#state = 'detached';
    this.#unacknowledged = 0;
    this.#cancelTimer();
    this.#cancelAck();
  }

  /** A resume that has not been answered yet had the old subscription, so it is repeated with the new one. */
  resubscribe(subscription: Subscription): void {
    if (subscription.want === this.#subscription.want && subscription.dir === this.#subscription.dir) return;
    this.#subscription = subscription;
    if (this.#flows()) this.#state = 'renewing';
    if (this.#state === 'renewing' || this.#state === 'asking') this.#sendResume();
  }

  answered(iq: Stanza): void {
    const asked = this.#state === 'asking' || this.#state === 'renewing';
    if (asked && iq.attrs['id'] === `resume-${this.host}`) this.#resumeAnswered(iq);
    else if (this.#flows() && errorCondition(iq) === 'conflict') this.#refused('conflict');
    else if (this.#flows() && iq.attrs['type'] === 'error') this.#askLater(resumeAgainMs);
    else this.#reportQueueFill(iq);
  }

  /** The pusher that had the feed has gone. */
  freed(): void {
    if (this.#state === 'refused') this.#ask();
  }

  /** Whether an item comes from the tap that was resumed. Any user can send a message of the same form to the component. */
  owns({ epoch }: TapItem): boolean {
    return this.#flows() && this.#ledger.knows(epoch);
  }

  /** Hands an item over. An item without a packet keeps its position: its mark must be written and acknowledged. */
  take(item: TapItem, bytes: number): void {
    const mark = this.#receive(item);
    if (mark !== undefined) this.#handOver(this.#toPacket(item, mark, bytes), mark, bytes);
  }

  skipInOrder(item: TapItem, reason: SkipReason): void {
    const mark = this.#receive(item);
    if (mark === undefined) return;
    this.#options.skip(reason, this.host);
    this.#handOver(undefined, mark, 0);
  }

  #receive({ seq }: TapItem): Mark | undefined {
    const { attachment, events, skip } = this.#options;
    const missing = this.#ledger.missingBefore(seq);
    if (missing > 0) events.emit('tap.hole', { attachment: attachment.name, host: this.host, missing });
    if (missing >= 0) return this.#ledger.received(seq);
    skip('duplicate');
    return undefined;
  }

  #toPacket(item: TapItem, { epoch, h }: Mark, bytes: number): Packet | undefined {
    const content = readContent(item, this.#own);
    if (typeof content !== 'string') {
      const { session, sessions, sender, occupant, time } = item;
      const { stanza, direction, report } = content;
      const key = `${this.#stream}/${epoch}/${h}`;
      // Not with a spread, which costs more than the rest of the packet.
      return this.#options.toPacket({ stanza, direction, report, host: this.host, session, sessions, sender, occupant, time, bytes, key });
    }
    this.#options.skip(content, this.host);
    return undefined;
  }

  #handOver(packet: Packet | undefined, mark: Mark, bytes: number): void {
    const { flow } = this.#options;
    const committed = () => {
      flow.committed(bytes);
      if (this.#ledger.committed(mark)) this.#ackSoon();
    };
    flow.hand(packet, { stream: this.#stream, mark, committed }, bytes);
  }

  #flows(): boolean {
    return this.#state === 'flowing' || this.#state === 'renewing';
  }

  #ask(): void {
    this.#state = 'asking';
    this.#options.reportState(this.host, 'resuming');
    this.#sendResume();
    this.#awaitAnswer();
  }

  #sendResume(): void {
    const { attachment, instance } = this.#options;
    const { epoch, h } = this.#ledger.resumeFrom();
    const max = attachment.maxStanzaBytes - Math.min(wrapperBytes, Math.floor(attachment.maxStanzaBytes / 2));
    const attrs = { xmlns: tapNs, epoch, h: String(h), ...this.#subscription, max: String(max), pusher: instance, probe: 'true' };
    this.#send(`resume-${this.host}`, element('resume', attrs));
  }

  /** While reading is stopped no answer can arrive, and each further resume would cause another replay. */
  #awaitAnswer(): void {
    const { timers, flow } = this.#options;
    this.#cancelTimer();
    this.#cancelTimer = timers.after(answerTimeoutMs, () => (flow.stopped ? this.#awaitAnswer() : this.#ask()));
  }

  #askLater(waitMs: number): void {
    this.#state = 'refused';
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(waitMs, () => this.#ask());
  }

  #resumeAnswered(iq: Stanza): void {
    const { attachment, claimNode, refuse, reportState } = this.#options;
    const { host } = this;
    const answer = iq.attrs['type'] === 'result' ? readResumed(iq) : undefined;
    if (answer === undefined) return this.#refused(errorCondition(iq) ?? 'an answer without <resumed/>');

    const namesake = claimNode(host, answer.node);
    if (namesake !== undefined) {
      return refuse(
        `${host} calls this node "${answer.node}", and ${namesake} too: give each node a name of its own in its tap's options, and list each once`,
      );
    }

    this.#state = 'flowing';
    this.#reportGap(answer);
    this.#stream = `${attachment.name}/${host}/${answer.node}`;
    reportState(host, 'attached');
    this.#reportQueueFill(iq);
    this.#remindLater();
  }

  #refused(condition: string): void {
    const { host } = this;
    if (condition === 'conflict') this.#options.reportState(host, 'standby', `${host} feeds another pusher`);
    else this.#options.reportState(host, 'refused', refusalReason(host, condition));
    this.#askLater(askAgainMs);
  }

  #reportGap(answer: Resumed): void {
    const { attachment, events, hasStoodBy } = this.#options;
    const about = { attachment: attachment.name, host: this.host };
    for (const gap of this.#ledger.resumed(answer)) {
      if (gap.kind !== 'unrecorded') events.emit('tap.hole', { ...about, missing: gap.kind === 'dropped' ? gap.items : undefined });
      else events.emit(hasStoodBy() ? 'tap.taken-over' : 'tap.mark-missing', { ...about, items: gap.items });
    }
  }

  #reportQueueFill(iq: Stanza): void {
    const { attachment, events } = this.#options;
    const fill = readQueueFill(iq);
    if (fill !== undefined) events.emit('tap.queue', { attachment: attachment.name, host: this.host, stream: this.#stream, ...fill });
  }

  #remindLater(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(remindEveryMs, () => {
      this.#ack('queue');
      this.#remindLater();
    });
  }

  #ackSoon(): void {
    this.#unacknowledged += 1;
    if (this.#unacknowledged >= ackEvery) this.#ack();
    else if (this.#unacknowledged === 1) this.#cancelAck = this.#options.timers.after(ackDelayMs, () => this.#ack());
  }

  /** With `report` the tap answers with the fill level of its queue. */
  #ack(report?: 'queue'): void {
    this.#cancelAck();
    this.#unacknowledged = 0;
    const { epoch, h } = this.#ledger.acknowledge();
    if (this.#flows()) this.#send(`ack-${h}`, element('ack', { xmlns: tapNs, epoch, h: String(h), report }));
  }

  #send(id: string, child: Stanza): void {
    this.#outlet?.send(toXml(element('iq', { type: 'set', id, from: this.#options.attachment.domain, to: this.host }, [child])));
  }
}

/** Error conditions of Prosody and ejabberd for a domain that they do not serve and cannot reach. */
const unservedConditions: ReadonlySet<string> = new Set(['not-allowed', 'remote-server-not-found', 'remote-server-timeout']);

function refusalReason(host: string, condition: string): string {
  return unservedConditions.has(condition)
    ? `the chat server does not serve ${host} (${condition}): correct hosts in the configuration, or add the host to the chat server`
    : `${host} has no tap (${condition}): enable the module mod_event_pusher_tap there`;
}
