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
import type { Stanza } from '../../../pools/contract.ts';
import type { Packet } from '../../packet/packet.ts';
import type { Mark } from '../../packet/receipt.ts';
import { element, toXml } from '../../packet/xml/element.ts';
import type { Feed, Outlet } from './feed.ts';
import type { FeedOptions, SkipReason } from './feed-options.ts';
import { reasonToSkip } from './skip.ts';
import { errorCondition, isAnswer, readDirection, readQueueFill, readResumed, readTapItem, type TapItem, tapNs } from './tap-item.ts';
import { createTapLedger, type TapLedger } from './tap-ledger.ts';

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

interface HostConversation {
  readonly host: string;
  readonly ledger: TapLedger;
  /** Names what flows, for the order of its packets: attachment, host and node. */
  stream: string;
  state: 'asking' | 'detached' | 'flowing' | 'refused' | 'renewing';
  unacked: number;
  callOffTimer: () => void;
  callOffAck: () => void;
}

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
  let { want } = options;
  let outlet: Outlet | undefined;

  for (const host of attachment.hosts) {
    const marks = options.marks.filter((mark) => mark.attachment === attachment.name && mark.host === host);
    const ledger = createTapLedger({ attachment: attachment.name, host, marks });
    conversations.set(host, {
      host,
      ledger,
      stream: '',
      state: 'detached',
      unacked: 0,
      callOffTimer: () => undefined,
      callOffAck: () => undefined,
    });
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
    tell(host, `resume-${host}`, element('resume', { xmlns: tapNs, epoch, h: String(h), want, pusher: options.instance }));
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
    const lost = ledger.resumed(answer);
    conversation.stream = `${attachment.name}/${host}/${answer.node}`;
    if (lost !== 0) events.emit('tap.hole', { attachment: attachment.name, host, missing: lost });
    options.tell(host, 'attached');
    reportFill(conversation, iq);
    remindLater(conversation);
  }

  function refused(conversation: HostConversation, iq: Stanza): void {
    const { host } = conversation;
    const condition = errorCondition(iq);
    if (condition === 'conflict') options.tell(host, 'standby', `${host} feeds another pusher`);
    else options.tell(host, 'refused', `${host} has no tap (${condition}): enable the module mod_event_pusher_tap there`);
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
    if (conversation === undefined || !flows(conversation) || !conversation.ledger.knows(tapped.epoch)) return options.skip('forged');

    const { host, ledger, stream } = conversation;
    const received = ledger.received(tapped.seq);
    if (received.kind === 'duplicate') return options.skip('duplicate');
    if (received.missing > 0) events.emit('tap.hole', { attachment: attachment.name, host, missing: received.missing });

    const { mark } = received;
    const committed = () => {
      options.flow.landed(bytes);
      if (ledger.committed(mark)) ackSoon(conversation);
    };
    const packet = toPacket(tapped, { host, key: `${stream}/${mark.epoch}/${mark.h}`, bytes });
    options.flow.hand(packet, { stream, mark, committed }, bytes);
  }

  /** What is no packet still takes its turn: its mark has to be written and acknowledged. */
  function toPacket(
    tapped: TapItem,
    { host, key, bytes }: { readonly host: string; readonly key: string; readonly bytes: number },
  ): Packet | undefined {
    const { stanza, direction, session, sessions, sender, time } = tapped;
    const seen = readDirection(direction);
    if (seen === undefined) return skipped('unknown-direction');
    if (stanza === undefined) return skipped('malformed');
    const reason = reasonToSkip(stanza, own);
    if (reason !== undefined) return skipped(reason);
    return options.toPacket({ ...seen, stanza, host, session, sessions, sender, time, bytes, key });
  }

  function skipped(reason: SkipReason): undefined {
    options.skip(reason);
  }

  function ackSoon(conversation: HostConversation): void {
    conversation.unacked += 1;
    if (conversation.unacked >= ackEvery) ack(conversation);
    else if (conversation.unacked === 1) conversation.callOffAck = timers.after(ackDelayMs, () => ack(conversation));
  }

  /** With `report` the tap answers how full its queue is. */
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
    renewWant: (next) => {
      if (next === want) return;
      want = next;
      for (const conversation of conversations.values()) renew(conversation);
    },
  };
}

function flows({ state }: HostConversation): boolean {
  return state === 'flowing' || state === 'renewing';
}
