/**
 * The feed of our server-side module: at least once, in order, direction and session marked. Each virtual host has a
 * conversation of its own on the component's stream:
 *
 *   detached → asking (resume is out) → flowing
 *                 ↓ an error               ↓ an error to an acknowledgement: the tap has forgotten us, or been taken over
 *              refused → asking again  ←───┘
 *
 * Refused is who has no tap, and who feeds another pusher: this one stands by then.
 *
 * A conversation that flows goes on while it is asked anew for other stanzas (renewing): what was on its way comes again,
 * and is known.
 *
 * Protocol: `urn:x-event-pusher:tap:1`, described in plugins/prosody/README.md.
 */

import type { Mark, Packet, Stanza } from '../../model/packet.ts';
import type { SeenStanza } from '../../packet/from-xml.ts';
import { element, toXml } from '../../packet/xml/element.ts';
import type { Feed, Outlet } from './feed.ts';
import type { FeedOptions } from './feed-options.ts';
import type { Unreadable } from './stanza-reader.ts';
import { createConversation, flows, type HostConversation, isOf } from './tap-conversation.ts';
import { errorCondition, isAnswer, readQueueFill, readResumed, readSeen, readTapItem, type TapItem, tapNs } from './tap-item.ts';
import type { Gap } from './tap-ledger.ts';

/** A host that has no tap, or feeds another pusher, is asked again after this. */
const askAgainMs = 30_000;
/** One that has just ended never answers. */
const answerWithinMs = 10_000;

/** An idle host is told again how far we are, so that a tap which forgot us (its module was loaded anew) can say so … */
const remindEveryMs = 30_000;
/** … and is asked anew after this. */
const resumeAnewMs = 1000;

/** An acknowledgement is due after so many commits, or so long after the first of them. */
const ackEvery = 200;
const ackDelayMs = 20;

/** Room for the wrapper of a stanza: a JID alone may take 8 KiB if each of its characters is escaped. */
const wrapperBytes = 16_384;

export interface TapFeedOptions extends FeedOptions {
  readonly marks: readonly Mark[];
  readonly want: string;
  /** Names this process: what it resumes is its own, though its last connection may still stand. */
  readonly instance: string;
  /** Takes the name of a host's node for this connection. Gives the other connection that has it already. */
  readonly claimNode: (host: string, node: string) => string | undefined;
  /** Ends the stream: it leads where it should not. */
  readonly refuse: (reason: string) => void;
}

export function createTapFeed(options: TapFeedOptions): Feed {
  const { attachment, events, timers } = options;
  const conversations = new Map<string, HostConversation>();
  const own = { domain: attachment.domain, receives: false, isOwn: options.isOwn };
  const max = attachment.maxStanzaBytes - Math.min(wrapperBytes, Math.floor(attachment.maxStanzaBytes / 2));
  let { want } = options;
  let outlet: Outlet | undefined;

  for (const host of attachment.hosts) {
    conversations.set(host, createConversation(attachment.name, host, options.marks));
  }

  function ask(conversation: HostConversation): void {
    conversation.state = 'asking';
    options.tell(conversation.host, 'resuming');
    resume(conversation);
    awaitAnswer(conversation);
  }

  /** While nothing is read no answer can come either, and each question would be one more replay. */
  function awaitAnswer(conversation: HostConversation): void {
    conversation.callOffTimer();
    conversation.callOffTimer = timers.after(answerWithinMs, () => (options.flow.stopped ? awaitAnswer : ask)(conversation));
  }

  function resume(conversation: HostConversation): void {
    const { host, ledger } = conversation;
    const { epoch, h } = ledger.resumeFrom();
    const resume = { xmlns: tapNs, epoch, h: String(h), want, max: String(max), pusher: options.instance };
    tell(host, `resume-${host}`, element('resume', resume));
  }

  /** Who has not answered yet was asked for what was wanted before, and is asked once more. */
  function renew(conversation: HostConversation): void {
    if (flows(conversation)) conversation.state = 'renewing';
    if (conversation.state === 'renewing' || conversation.state === 'asking') resume(conversation);
  }

  function tell(host: string, id: string, child: Stanza): void {
    outlet?.send(toXml(element('iq', { type: 'set', id, from: attachment.domain, to: host }, [child])));
  }

  function answer(conversation: HostConversation, iq: Stanza): void {
    const asked = conversation.state === 'asking' || conversation.state === 'renewing';
    if (asked && iq.attrs['id'] === `resume-${conversation.host}`) resumed(conversation, iq);
    else if (flows(conversation) && iq.attrs['type'] === 'error') askLater(conversation, resumeAnewMs);
    else reportFill(conversation, iq);
  }

  function reportFill({ host, stream }: HostConversation, iq: Stanza): void {
    const fill = readQueueFill(iq);
    if (fill !== undefined) events.emit('tap.queue', { attachment: attachment.name, host, stream, ...fill });
  }

  function resumed(conversation: HostConversation, iq: Stanza): void {
    const { host, ledger } = conversation;
    const answer = iq.attrs['type'] === 'result' ? readResumed(iq) : undefined;
    if (answer === undefined) return refused(conversation, iq);

    const namesake = options.claimNode(host, answer.node);
    if (namesake !== undefined) {
      return options.refuse(
        `${host} calls this node "${answer.node}", and ${namesake} too: give each node a name of its own in its tap's options, and list each once`,
      );
    }

    conversation.state = 'flowing';
    reportGap(host, ledger.resumed(answer));
    conversation.stream = `${attachment.name}/${host}/${answer.node}`;
    options.tell(host, 'attached');
    reportFill(conversation, iq);
    remindLater(conversation);
  }

  function reportGap(host: string, gap: Gap | undefined): void {
    if (gap?.kind === 'unrecorded') events.emit('tap.mark-missing', { attachment: attachment.name, host, items: gap.items });
    else if (gap !== undefined) {
      const missing = gap.kind === 'dropped' ? gap.items : undefined;
      events.emit('tap.hole', { attachment: attachment.name, host, missing });
    }
  }

  function refused(conversation: HostConversation, iq: Stanza): void {
    const { host } = conversation;
    const condition = errorCondition(iq);
    if (condition === 'conflict') options.tell(host, 'standby', `${host} feeds another pusher`);
    else options.tell(host, 'refused', refusalOf(host, condition));
    askLater(conversation, askAgainMs);
  }

  function askLater(conversation: HostConversation, waitMs: number): void {
    conversation.state = 'refused';
    conversation.callOffTimer();
    conversation.callOffTimer = timers.after(waitMs, () => ask(conversation));
  }

  function remindLater(conversation: HostConversation): void {
    conversation.callOffTimer();
    conversation.callOffTimer = timers.after(remindEveryMs, () => {
      ack(conversation, 'queue');
      remindLater(conversation);
    });
  }

  function item(conversation: HostConversation | undefined, message: Stanza, bytes: number): void {
    const tapped = readTapItem(message);
    if (tapped === undefined) return options.skip('malformed');
    if (!isOf(conversation, tapped)) return options.skip('forged');
    take(conversation, tapped, bytes, (key) => toPacket(tapped, { host: conversation.host, key, bytes }));
  }

  /** An unreadable item is acknowledged in order if its head identifies it; otherwise the tap would send it again without end. */
  function unreadable({ head, reason }: Unreadable): void {
    const conversation = conversations.get(head?.attrs['from'] ?? '');
    const tapped = head?.name === 'message' ? readTapItem(head) : undefined;
    if (tapped === undefined || !isOf(conversation, tapped)) return options.skip(reason, conversation?.host);
    take(conversation, tapped, 0, () => {
      options.skip(reason, conversation.host);
      return undefined;
    });
  }

  /** An item without a packet keeps its place: its mark must be written and acknowledged. */
  function take(conversation: HostConversation, { seq }: TapItem, bytes: number, toPacket: (key: string) => Packet | undefined): void {
    const { host, ledger, stream } = conversation;
    const received = ledger.received(seq);
    if (received.kind === 'duplicate') return options.skip('duplicate');
    if (received.missing > 0) events.emit('tap.hole', { attachment: attachment.name, host, missing: received.missing });

    const { mark } = received;
    const committed = () => {
      options.flow.landed(bytes);
      if (ledger.committed(mark)) ackSoon(conversation);
    };
    options.flow.hand(toPacket(`${stream}/${mark.epoch}/${mark.h}`), { stream, mark, committed }, bytes);
  }

  function toPacket(tapped: TapItem, at: Pick<SeenStanza, 'bytes' | 'host' | 'key'>): Packet | undefined {
    const seen = readSeen(tapped, own);
    if (typeof seen !== 'string') return options.toPacket({ ...tapped, ...seen, ...at });
    options.skip(seen, at.host);
    return undefined;
  }

  function ackSoon(conversation: HostConversation): void {
    conversation.unacked += 1;
    if (conversation.unacked >= ackEvery) ack(conversation);
    else if (conversation.unacked === 1) conversation.callOffAck = timers.after(ackDelayMs, () => ack(conversation));
  }

  /** With `report` the tap answers with the fill level of its queue. */
  function ack(conversation: HostConversation, report?: 'queue'): void {
    conversation.callOffAck();
    conversation.unacked = 0;
    const { epoch, h } = conversation.ledger.acknowledge();
    if (flows(conversation)) tell(conversation.host, `ack-${h}`, element('ack', { xmlns: tapNs, epoch, h: String(h), report }));
  }

  return {
    attached: (next) => {
      outlet = next;
      for (const conversation of conversations.values()) ask(conversation);
    },
    detached: () => {
      outlet = undefined;
      for (const conversation of conversations.values()) {
        conversation.state = 'detached';
        conversation.unacked = 0;
        conversation.callOffTimer();
        conversation.callOffAck();
      }
    },
    received: (stanza, bytes) => {
      const conversation = conversations.get(stanza.attrs['from'] ?? '');
      if (stanza.name === 'message') item(conversation, stanza, bytes);
      else if (conversation !== undefined && isAnswer(stanza)) answer(conversation, stanza);
      else options.strange(stanza);
    },
    unreadable,
    resubscribe: (next) => {
      if (next === want) return;
      want = next;
      for (const conversation of conversations.values()) renew(conversation);
    },
  };
}

/** Error conditions of Prosody and ejabberd for a domain that they do not serve and cannot reach. */
const elsewhere: ReadonlySet<string> = new Set(['not-allowed', 'remote-server-not-found', 'remote-server-timeout']);

function refusalOf(host: string, condition: string): string {
  return elsewhere.has(condition)
    ? `the chat server does not serve ${host} (${condition}): correct hosts in the configuration, or add the host to the chat server`
    : `${host} has no tap (${condition}): enable the module mod_event_pusher_tap there`;
}
